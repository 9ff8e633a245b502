/** The functions of Node-API by version, as Node's own package of its headers lists them. */
declare module 'node-api-headers' {
  interface Symbols {
    readonly js_native_api_symbols: readonly string[];
    readonly node_api_symbols: readonly string[];
  }
  export const symbols: Readonly<Record<string, Symbols>>;
}

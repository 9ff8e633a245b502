/**
 * Prompts of chats.
 *
 * @module
 */
import { invalid, ServeError } from './errors.js';
import { loadJinja } from './libraries.js';

/** What was said in a chat. */
export interface Message {
  readonly role: string;
  readonly content: string;
}

/** Makes a prompt of the messages of a chat. */
export type ChatTemplate = (messages: readonly Message[]) => string;

/**
 * Reads a template.
 *
 * @param text - the template, in Jinja
 * @param eosToken - the text of the token that ends an output
 */
export async function chatTemplateOf(model: string, text: string, eosToken: string): Promise<ChatTemplate> {
  const { Template } = await loadJinja();
  let template: InstanceType<typeof Template>;
  try {
    template = new Template(text);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ServeError(
      'InvalidOption',
      `createServer: model ${model}: the chat template cannot be read: ${why}`,
      cause,
    );
  }
  return (messages) => {
    try {
      // The decoder begins with the token that the model begins with, so templates have none.
      return template.render({ messages, add_generation_prompt: true, bos_token: '', eos_token: eosToken });
    } catch (error) {
      // Templates refuse what they do not know, as roles.
      const why = error instanceof Error ? error.message : String(error);
      throw invalid('messages', `the chat template of the model refuses the messages: ${why}`);
    }
  };
}

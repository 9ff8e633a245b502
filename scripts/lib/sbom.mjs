import { readFileSync } from 'node:fs';
import { linkedCrates } from './notices.mjs';
import { at, readJson } from './paths.mjs';
import { Refusal } from './run.mjs';
import { needTools } from './tools.mjs';

/** The npm packages that are installed with ours: those that no other kind of dependency brings. */
function runtimePackages() {
  return Object.entries(readJson('package-lock.json').packages)
    .filter(([path, { dev, optional, devOptional, peer }]) => path !== '' && !(dev || optional || devOptional || peer))
    .map(([path, { version, license, integrity }]) => {
      const sha512 = Buffer.from(integrity.replace('sha512-', ''), 'base64').toString('hex');
      return { name: path.slice(path.lastIndexOf('node_modules/') + 13), version, license, hash: ['SHA-512', sha512] };
    });
}

/** A field of a block of Cargo.lock. */
const field = (block, name) => new RegExp(`^${name} = "(.*)"$`, 'm').exec(block)?.[1];

/** The checksums of crates in Cargo.lock, by name and version. */
function checksums() {
  const blocks = readFileSync(at('Cargo.lock'), 'utf8').split('[[package]]');
  return new Map(
    blocks.map((block) => [`${field(block, 'name')} ${field(block, 'version')}`, field(block, 'checksum')]),
  );
}

/**
 * What the packages contain and need, as CycloneDX in JSON: the crates that are linked into the addons, and the npm packages that are
 * installed with them. The same checkout gives the same bytes: no date and no number of its own stand in it.
 *
 * @returns {Promise<string>}
 */
export async function sbom() {
  const { Enums, Models, Serialize, Spec, Validation } = (await needTools())('@cyclonedx/cyclonedx-library');
  const { name, version, license, description, repository } = readJson('package.json');
  const component = (kind, of) => {
    const made = new Models.Component(Enums.ComponentType.Library, of.name, { version: of.version });
    made.purl = `pkg:${kind}/${of.name.replace('@', '%40')}@${of.version}`;
    made.bomRef.value = made.purl;
    made.licenses.add(
      /^[\w.-]+$/.test(of.license) ? new Models.SpdxLicense(of.license) : new Models.LicenseExpression(of.license),
    );
    if (of.hash?.[1] !== undefined) made.hashes.set(...of.hash);
    return made;
  };
  const root = component('npm', { name, version, license });
  root.description = description;
  root.externalReferences.add(
    new Models.ExternalReference(repository.url.replace(/^git\+/, ''), Enums.ExternalReferenceType.VCS),
  );
  const bom = new Models.Bom({ metadata: new Models.Metadata({ component: root }) });
  const sums = checksums();
  const crates = (await linkedCrates()).map((crate) => ({
    ...crate,
    hash: ['SHA-256', sums.get(`${crate.name} ${crate.version}`)],
  }));
  for (const part of [
    ...runtimePackages().map((one) => component('npm', one)),
    ...crates.map((one) => component('cargo', one)),
  ]) {
    bom.components.add(part);
    root.dependencies.add(part.bomRef);
  }
  const serializer = new Serialize.JsonSerializer(new Serialize.JSON.Normalize.Factory(Spec.Spec1dot6));
  const json = `${serializer.serialize(bom, { sortLists: true, space: 2 })}\n`;
  const faults = await new Validation.JsonStrictValidator(Spec.Version.v1dot6).validate(json);
  if (faults !== null) throw new Refusal(`the list of parts is no valid CycloneDX: ${JSON.stringify(faults)}`);
  return json;
}

/**
 * Handles of the layers that the addon has made.
 *
 * @module
 */
import { native } from '../bridge/native.js';
import { constructLayer, constructLayers, type Made } from './construct.js';
import { LayerHandle } from './handle.js';
import { type Layer } from './layer.js';
import { Adopted } from './parts.js';

/** A class of handles. */
interface LayerClass {
  new (options: Adopted): Layer;
}

/** What handles are: classes that say so themselves, as their modules stand above this one. */
const classes: { plain?: LayerClass; reversible?: LayerClass } = {};

/** Says what layers are. */
export function setLayerClass(made: LayerClass): void {
  classes.plain = made;
}

/** Says what layers that can be reversed are: a class that extends that of all layers. */
export function setReversibleClass(made: LayerClass): void {
  classes.reversible = made;
}

const isLayer = (x: unknown): x is Layer => classes.plain !== undefined && x instanceof classes.plain;

/** Wraps a layer of the addon, of which `origin` is a copy or the whole: the handle it has, or a new one. */
export function wrapLayer(made: Made, origin?: Layer): Layer {
  const owner = LayerHandle.owner(made.id);
  if (isLayer(owner)) {
    native.releaseLayer(made.id);
    return owner;
  }
  const Class = native.layerIsReversible(made.id) ? classes.reversible! : classes.plain!;
  return new Class(new Adopted(made, origin));
}

/** A new layer of a registered kind, whose arity `Made` is what the registry says of that kind: a test holds it to that. */
export function makeLayer<Made extends Layer = Layer>(kind: string, options: object): Made {
  return wrapLayer(constructLayer(kind, options)) as Made;
}

/** The layers that a registered function makes. */
export function makeLayers(name: string, options: object): Layer[] {
  return constructLayers(name, options).map((made) => wrapLayer(made));
}

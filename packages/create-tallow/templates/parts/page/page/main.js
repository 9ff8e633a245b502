/** The page: a curve of the loss, and text as it is written. The same in the desktop app and in a browser. */
import { Curve } from './curve.js';

/** @typedef {import('./protocol.js').LabEvent} LabEvent */

/**
 * An element of the page.
 *
 * @template {Element} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
function at(id, type) {
  const found = document.getElementById(id);
  if (found instanceof type) return found;
  throw new Error(`the page has no ${id}`);
}

const status = at('status', HTMLElement);
const notice = at('notice', HTMLElement);
const controls = at('training', HTMLElement);
const train = at('train', HTMLButtonElement);
const write = at('write', HTMLButtonElement);
const text = at('text', HTMLElement);
const prompt = at('prompt', HTMLInputElement);
const temperature = at('temperature', HTMLInputElement);
const curve = new Curve(at('curve', SVGSVGElement));

const lab = window.lab ?? (await import('./http.js')).lab;
/** Whether the page wants training; a process that was started again is told so. */
let wanted = false;
let steps = 0;
/** The number of the text on the page, and whether it is still being written. */
let current = 0;
let writing = false;

/** @param {string} message */
function say(message) {
  notice.textContent = message;
  notice.hidden = false;
}

/** @param {boolean} on */
function setTraining(on) {
  wanted = on;
  train.textContent = on ? 'Pause' : 'Train';
}

/** @param {boolean} on */
function setWriting(on) {
  writing = on;
  write.textContent = on ? 'Stop' : 'Write';
}

/**
 * @param {number} step
 * @param {string} [more]
 */
function show(step, more = '') {
  const loss = curve.last === undefined ? '' : ` · loss ${curve.last.toFixed(3)}`;
  status.textContent = `step ${step} of ${steps}${loss}${more}`;
}

/** @param {LabEvent} event */
function hear(event) {
  switch (event.type) {
    case 'ready':
      steps = event.steps;
      controls.hidden = !event.canTrain;
      curve.reset(event.step, event.losses);
      show(event.step);
      if (event.training) setTraining(true);
      else if (wanted) lab.send({ type: 'train' });
      if (!notice.hidden && wanted) say(`${notice.textContent} Training goes on from step ${event.step}.`);
      return;
    case 'step':
      curve.add(event.step, event.loss);
      return show(event.step, ` · ${event.perSecond.toFixed(0)} steps/s`);
    case 'paused':
      setTraining(false);
      return show(event.step);
    case 'text':
      if (event.id === current) text.append(event.text);
      return;
    case 'written':
      if (event.id === current) setWriting(false);
      return;
    case 'saved':
      return say(`The model was saved in ${event.path}`);
    case 'failed':
      return say(event.message);
    case 'restarted':
      setWriting(false);
      return say(`The training process ended unexpectedly (code ${event.code}) and was started again.`);
    case 'gone':
      setWriting(false);
      setTraining(false);
      return say(`The training process ends again and again (code ${event.code}). Close the window and open it anew.`);
  }
}

train.addEventListener('click', () => {
  notice.hidden = true;
  lab.send({ type: wanted ? 'pause' : 'train' });
  setTraining(!wanted);
});
at('save', HTMLButtonElement).addEventListener('click', () => lab.send({ type: 'save' }));
at('ask', HTMLFormElement).addEventListener('submit', (event) => {
  event.preventDefault();
  if (writing) return lab.send({ type: 'stop', id: current });
  notice.hidden = true;
  current += 1;
  text.textContent = prompt.value;
  setWriting(true);
  const seed = Math.floor(Math.random() * 2 ** 31);
  lab.send({ type: 'write', id: current, prompt: prompt.value, temperature: temperature.valueAsNumber, seed });
});

curve.draw();
lab.onEvent(hear);

/**
 * How pictures look: their letters, colours and axes.
 *
 * @module
 */

/** Colour of titles. */
export const INK = '#3d3a36';
export const FONT = 'Helvetica, Arial, sans-serif';
export const PAPER = '#fffdf9';
/** Colour of lines that only lead the eye. */
export const RULE = '#d8d1c5';
/** Colours of what is drawn, in order. */
export const COLOURS = [
  '#b5482a',
  '#3f6c8f',
  '#7a9a4e',
  '#8a6aa3',
  '#c79a3a',
  '#5f9ea0',
  '#9a7260',
  '#6d6d6d',
  '#c07a9a',
  '#2f4858',
];

const FAINT = '#8d877e';

/** What all axes have in common. */
export const AXIS = {
  labelFont: FONT,
  titleFont: FONT,
  titleFontWeight: 'normal',
  labelColor: FAINT,
  titleColor: FAINT,
  gridColor: '#efeae1',
  domainColor: RULE,
  tickColor: RULE,
} as const;

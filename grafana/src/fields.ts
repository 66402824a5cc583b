// Units, limits and words of what is shown, the same on each dashboard.

import { FieldColorModeId, MappingType, TableCellDisplayMode, ThresholdsMode } from '@grafana/schema';
import type { FieldConfig, ThresholdsConfig, ValueMapping } from '@grafana/schema';
import type { FieldConfig as TimelineField } from '@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';
import type { FieldConfig as TableField } from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type { FieldConfig as GraphField } from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

/** What Grafana calls the units. */
export const unit = {
  none: 'none',
  number: 'short',
  volt: 'volt',
  ampere: 'amp',
  celsius: 'celsius',
  humidity: 'humidity',
  pascal: 'pressurepa',
  percent: 'percent',
  seconds: 's',
  bytes: 'bytes',
  perMinute: 'cpm',
  perSecond: 'cps',
  time: 'dateTimeAsIso',
  text: 'string',
} as const;

/** No data is not zero. */
export const noValue = '–';

export const colour = { good: 'green', warn: 'orange', bad: 'red', idle: 'text', busy: 'blue', grey: '#808080' } as const;

type Steps = [value: number, colour: string][];

export const steps = (base: string, ...more: Steps): ThresholdsConfig => ({
  mode: ThresholdsMode.Absolute,
  steps: [
    // Grafana wants null for what is below the first step; the types have no word for it.
    { value: null as unknown as number, color: base },
    ...more.map(([value, color]) => ({ value, color })),
  ],
});

/** One colour, for what has no good or bad. */
export const plain = steps(colour.idle);

/** Zero is good, anything else bad. */
export const noneIsGood = steps(colour.good, [0.5, colour.bad]);

/** In percent of the usual: past 1.5 and past 5 periods. */
export const freshnessSteps = steps(colour.bad, [20, colour.warn], [67, colour.good]);

export const byThresholds = { mode: FieldColorModeId.Thresholds };
export const byName = { mode: FieldColorModeId.PaletteClassicByName };

const words = (map: Record<string, [text: string, colour: string]>): ValueMapping[] => [
  {
    type: MappingType.ValueToText,
    options: Object.fromEntries(Object.entries(map).map(([value, [text, color]], index) => [value, { text, color, index }])),
  },
];

/** States of devices, services and runs (docs/contract.md, sections 1 and 11). */
export const stateWords = words({
  ready: ['ready', colour.good],
  starting: ['starting', colour.busy],
  unreachable: ['unreachable', colour.bad],
  lost: ['lost', colour.bad],
  stopped: ['stopped', colour.grey],
  idle: ['idle', colour.grey],
  configuring: ['configuring', colour.busy],
  running: ['running', colour.busy],
  finishing: ['finishing', colour.busy],
  finished: ['finished', colour.good],
  failed: ['failed', colour.bad],
  aborted: ['aborted', colour.warn],
  interrupted: ['interrupted', colour.bad],
});

export const onWords = words({ 0: ['off', colour.grey], 1: ['on', colour.good] });

/** Of the smallest and the largest "on" of a time, added. */
export const onInTimeWords = words({ 0: ['off', colour.grey], 1: ['on and off', colour.busy], 2: ['on', colour.good] });

/** A flag that should not be set. A 0 was read, and must not look as if nothing had been. */
export const alarmWords = (text: string, color: string = colour.bad): ValueMapping[] => words({ 0: ['no', colour.grey], 1: [text, color] });

/** What is counted in a time: it lives if there was any. */
export const aliveWords: ValueMapping[] = [{ type: MappingType.RangeToText, options: { from: 1, to: null, result: { text: 'yes', color: colour.good, index: 0 } } }];

export const connectedWords = words({ 0: ['not connected', colour.bad], 1: ['connected', colour.good] });

type PanelField = GraphField & TimelineField & TableField;

/** What an override can change: a misspelt one does not compile. */
export type Property = { [K in keyof Look]: { id: K; value: Look[K] } }[keyof Look];

type Look = Required<Omit<FieldConfig, 'custom'>> & { [K in keyof Required<PanelField> & string as `custom.${K}`]: Required<PanelField>[K] };

/** An override of how one column of a table, or the series of one query, looks. */
export interface Override {
  matcher: { id: 'byName' | 'byFrameRefID'; options: string } | { id: 'byValue'; options: { reducer: string; op: string; value: number } };
  properties: Property[];
}

/** How the column of a name looks. */
export function column(name: string, look: Partial<Look>): Override {
  return { matcher: { id: 'byName', options: name }, properties: Object.entries(look).map(([id, value]) => ({ id, value }) as Property) };
}

/** A column whose words are coloured, and not its cells. */
export const coloured = { 'custom.cellOptions': { type: TableCellDisplayMode.ColorText } } as const;

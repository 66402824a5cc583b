// Panels and variables that several dashboards have.

import type { AnnotationQuery, DataQuery, DataTransformerConfig, Panel, VariableModel } from '@grafana/schema';
import { choice } from './dashboard';
import { alarmWords, colour, coloured, column, freshnessSteps, noneIsGood, onInTimeWords, onWords, stateWords, steps, unit } from './fields';
import { devices, freshness, highest, inTime, lately, now, ofChannels, rows, sumNow, withEnvelope } from './influx';
import { archive, ownMeasurements } from './names';
import { bars, chart, stat, table, textFields, timeline } from './panels';

/** Values older than this are not shown as those of now. */
export const current = '1m';

/** Gaps longer than this, and than a point of the curve, are gaps, ms. What is read more seldom is dots. */
export const supplyGap = 15_000;
export const sensorGap = 30_000;

/** All devices that are chosen. None chosen, none found: FROM "" would be an error. */
export const ofDevices = devices('device');

const ownNames = ownMeasurements.join('|');

/** All devices, by what has written to the archive. */
export const deviceChoice = (single = false): VariableModel =>
  choice({
    name: 'device',
    label: 'Device',
    description: 'All devices that have ever written to the archive: a new one appears by itself.',
    query: 'SHOW MEASUREMENTS',
    // Grafana would take what a group captures for the value: there must be none.
    regex: `/^(?!(?:${ownNames})$).+/`,
    single,
  });

/** The query for supplies, which alone have numbered channels, whose names match a typed expression. */
export const suppliesNamed = (variable: string): string => `SHOW MEASUREMENTS WITH MEASUREMENT =~ /(?:\${${variable}:raw})/ WHERE "number" =~ /./`;

export const allSupplies = 'SHOW MEASUREMENTS WHERE "number" =~ /./';

export const channelName = '$m $tag_number';

/** A quantity of supplies' channels over time. */
export const ofSupply = (field: string, from: string, alias = channelName) => ({ field: `"${field}"`, from, alias, by: ofChannels });

export const voltage = (title: string, from: string): Panel =>
  chart({
    title,
    description: 'Measured at the terminals, signed. The line is the mean of each point, the dots its smallest and largest value: a short excursion shows in 30 days too. The legend’s Min and Max are those of the line.',
    targets: withEnvelope(ofSupply('vmon', from)),
    unit: unit.volt,
    gap: supplyGap,
  });

export const amperes = (title: string, from: string): Panel =>
  chart({
    title,
    description: 'Measured. The line is the mean of each point, the dots its smallest and largest value. The legend’s Min and Max are those of the line.',
    targets: withEnvelope(ofSupply('imon', from)),
    unit: unit.ampere,
    gap: supplyGap,
  });

export const channelsOn = (from: string): Panel =>
  stat({
    title: 'Channels on',
    description: `How many channels of each supply are on, by a status not older than ${current}. A supply that is not here has said nothing in that time: its channels may well be on.`,
    targets: [sumNow('on', from, current)],
    unit: unit.none,
    thresholds: steps(colour.idle, [0.5, colour.good]),
  });

export const tripped = (from: string): Panel =>
  stat({
    title: 'Tripped',
    description: `Channels with a latched trip, by a status not older than ${current}. They stay off until somebody clears them.`,
    targets: [sumNow('trip', from, current)],
    unit: unit.none,
    thresholds: noneIsGood,
  });

export const fresh = (from: string): Panel =>
  bars({
    title: 'Freshness',
    description:
      'Statuses of the last minute, in percent of what the device usually sent a minute in the last 24 hours. Orange below 67 %, red below 20 %. ' +
      'Devices that speak less than every 10 s are counted by the quarter of an hour: they are late when they are missed for five minutes. Less than every five minutes: they waver. ' +
      'A device that is not here has said nothing for 24 hours. One that was made slower stays red for most of a day, and one made faster is above 100 %.',
    targets: freshness(from),
    unit: unit.percent,
    decimals: 0,
    min: 0,
    max: 110, // of the bar; the number may be more
    thresholds: freshnessSteps,
  });

export const onOff = (from: string): Panel =>
  timeline({
    title: 'On and off',
    description: 'Whether each channel was on. Blue, “on and off”: within that point it was both, be it for a moment; zoom in. A gap is a time without a status, not off.',
    targets: [inTime('A', ofSupply('on', from))],
    unit: unit.none,
    mappings: onInTimeWords,
    interval: '5s',
    gap: supplyGap,
  });

export const alarms = (from: string): Panel =>
  timeline({
    title: 'Tripped, or held by the current limit',
    description: 'A short trip colours the whole point that it falls into. A gap is a time without a status.',
    targets: [highest('A', ofSupply('trip', from, '$m $tag_number trip')), highest('B', ofSupply('limited', from, '$m $tag_number limit'))],
    unit: unit.none,
    mappings: alarmWords('trip'),
    overrides: [{ matcher: { id: 'byFrameRefID', options: 'B' }, properties: [{ id: 'mappings', value: alarmWords('limited', colour.warn) }] }],
    interval: '5s',
    gap: supplyGap,
  });

const flags: Record<string, [string, string]> = {
  limited: ['limited', colour.warn],
  trip: ['trip', colour.bad],
  interlock: ['interlock', colour.bad],
  locked: ['locked', colour.warn],
};

/** All of a supply's channels, as they stand. */
export const channelsNow = (repeat?: string): Panel =>
  table({
    title: '$device now',
    description: `The newest status, not older than ${current}; empty if there is none. vreq is the setpoint as the supply reads it back, ireq its current limit.`,
    targets: [
      rows(
        'SELECT last("on") AS "on", last("vreq") AS "vreq", last("vmon") AS "vmon", last("imon") AS "imon", last("ireq") AS "ireq", ' +
          'last("limited") AS "limited", last("trip") AS "trip", last("interlock") AS "interlock", last("locked") AS "locked" ' +
          `FROM ${ofDevices} WHERE time > now() - ${current} GROUP BY "number"`,
      ),
    ],
    unit: unit.none,
    repeat,
    transformations: hide('Time'),
    overrides: [
      column('on', { mappings: onWords, ...coloured }),
      ...['vreq', 'vmon'].map((f) => column(f, { unit: unit.volt, decimals: 3 })),
      ...['imon', 'ireq'].map((f) => column(f, { unit: unit.ampere, decimals: 3 })),
      ...Object.entries(flags).map(([f, [text, c]]) => column(f, { mappings: alarmWords(text, c), ...coloured })),
    ],
  });

/** The true extremes of the dashboard's time, from every status in it. */
export const channelsRange = (repeat?: string): Panel =>
  table({
    title: '$device in this time',
    description: 'The smallest and largest value of every single status in the dashboard’s time, and how many there were; on: whether the channel was on, off, or both; trip, limited: whether ever.',
    targets: [
      rows(
        'SELECT min("vmon") AS "vmon min", max("vmon") AS "vmon max", min("imon") AS "imon min", max("imon") AS "imon max", ' +
          `min("on") + max("on") AS "on", max("trip") AS "trip", max("limited") AS "limited", count("seq") AS "statuses" FROM ${ofDevices} WHERE $timeFilter GROUP BY "number"`,
      ),
    ],
    unit: unit.none,
    repeat,
    transformations: hide('Time'),
    overrides: [
      ...['vmon min', 'vmon max'].map((f) => column(f, { unit: unit.volt, decimals: 3 })),
      ...['imon min', 'imon max'].map((f) => column(f, { unit: unit.ampere, decimals: 3 })),
      column('on', { mappings: onInTimeWords, ...coloured }),
      column('trip', { mappings: alarmWords('tripped'), ...coloured }),
      column('limited', { mappings: alarmWords('limited', colour.warn), ...coloured }),
    ],
  });

export const hide = (...names: string[]): DataTransformerConfig[] => [
  { id: 'organize', options: { excludeByName: Object.fromEntries(names.map((n) => [n, true])), indexByName: {}, renameByName: {} } },
];

/** What became of commands. */
export const commands = (title: string, where: string, description: string, columns = ['device', 'channel', 'op', 'value', 'value_text', 'phase', 'code', 'message', 'user']): Panel =>
  table({
    title,
    description,
    targets: [
      rows(`SELECT ${columns.map((c) => `"${c}"`).join(', ')} FROM "ack" WHERE $timeFilter AND ${where} ORDER BY time DESC LIMIT 100`),
    ],
    unit: unit.none,
    filter: true,
    overrides: [
      column('Time', { unit: unit.time, 'custom.width': 180 }),
      ...columns.filter((c) => c !== 'message').map((c) => column(c, { 'custom.width': { code: 130, user: 120 }[c] ?? 95 })),
    ],
  });

/** States of devices and services as they stand. */
export const statesNow = (title: string, where: string): Panel =>
  stat({
    title,
    description: 'The last state in the archive that is not older than 30 days. A state is said when it changes: who has not changed for longer is not here. Who is killed is said to be lost by the broker; while the broker, the loader or InfluxDB is down nothing changes here: Freshness and “Archive is live” tell.',
    targets: [now('A', { field: '"state"', from: '"state"', alias: '$tag_device', where: `AND ${where}`, by: ', "device"' }, lately)],
    unit: unit.text,
    fields: textFields,
    mappings: stateWords,
  });

// Grafana drops an annotation of which any column is empty, and calls a column by
// its measurement and field, as run.title.

/** Runs as coloured regions behind each curve. */
export const runRegions = annotation('Runs', 'blue', 'SELECT "title", "procedure", "state", "end_ms" FROM "run" WHERE time >= ${__from}ms - 1d AND time <= ${__to}ms', {
  titleColumn: 'run.title',
  textColumn: 'procedure',
  tagsColumn: 'state',
  timeEndColumn: 'run.end_ms',
});

/** A run has no end while it runs: then this says that it began. */
export const runStarts = annotation('Starts of runs', 'light-blue', 'SELECT "title", "procedure" FROM "run" WHERE $timeFilter', {
  titleColumn: 'run.title',
  textColumn: 'procedure',
  tagsColumn: 'none',
});

export const refusals = (device: string): AnnotationQuery =>
  annotation('Refused and failed', 'orange', `SELECT "message", "op", "code" FROM "ack" WHERE $timeFilter AND "device" = '${device}' AND ("phase" = 'rejected' OR "phase" = 'failed')`, {
    titleColumn: 'ack.message',
    textColumn: 'op',
    tagsColumn: 'code',
  });

function annotation(name: string, iconColor: string, query: string, columns: { titleColumn: string; textColumn: string; tagsColumn: string; timeEndColumn?: string }): AnnotationQuery {
  const target: DataQuery = { refId: 'annotation', ...{ query, rawQuery: true, resultFormat: 'time_series', fromAnnotations: true, timeEndColumn: '', ...columns } };
  return { name, datasource: archive, enable: true, hide: false, iconColor, target };
}


// Calibration runs, and what the detector did in them.

import type { Panel } from '@grafana/schema';
import { dashboard, row, box } from '../dashboard';
import { colour, coloured, column, stateWords, steps, unit } from '../fields';
import { named, rows, series, stateHistory } from '../influx';
import { hvNames, origin, uid } from '../names';
import type { endedStates } from '../names';
import { chart, note, outside, stat, table, timeline } from '../panels';
import { amperes, commands, runRegions, runStarts, voltage } from '../shared';
import { temperatures } from './climate';

const count = (state: (typeof endedStates)[number], title: string, shade: string): Panel =>
  stat({
    title,
    description: `Runs of the dashboard’s time that are ${state}.`,
    targets: [series('A', state, `SELECT count("number") FROM "run" WHERE $timeFilter AND "state" = '${state}'`)],
    unit: unit.number,
    thresholds: steps(shade),
    nothing: 'none',
  });

const consoleRun = origin + 'runs/${__value.numeric}';

export const runs = dashboard({
  uid: uid.runs,
  title: 'Runs',
  description: 'Calibration runs: how they ended, how long they took, and voltages and temperatures while they ran.',
  from: 'now-24h',
  annotations: [runRegions, runStarts],
  variables: [box('hv', 'HV names', 'Regular expression for the names of the supplies whose voltage is shown. While it is incomplete InfluxDB refuses it, and panels say so.', hvNames)],
  rows: [
    row(
      4,
      [4, count('finished', 'Finished', colour.good)],
      [4, count('failed', 'Failed', colour.bad)],
      [4, count('aborted', 'Aborted', colour.warn)],
      [4, count('interrupted', 'Interrupted', colour.bad)],
      [
        8,
        note(
          'Blue bands',
          `Each run is a band in the curves from its start to its end; one that is still under way is a line at its start. Results, logs and files are on the ${outside('runs', 'console')}: a run's number in the table leads to them.`,
        ),
      ],
    ),
    row(10, [
      24,
      table({
        title: 'Runs',
        description: 'By their start, newest first. A run without a state is under way, or run control has not been heard since. The number leads to the run on the console.',
        targets: [rows('SELECT "number", "state", "title", "procedure", "module", "user", "duration" FROM "run" WHERE $timeFilter ORDER BY time DESC LIMIT 200')],
        unit: unit.none,
        filter: true,
        overrides: [
          column('Time', { unit: unit.time, displayName: 'start', 'custom.width': 180 }),
          column('number', { decimals: 0, links: [{ title: 'Run ${__value.numeric} on the console', url: consoleRun, targetBlank: true }], 'custom.width': 90 }),
          column('state', { mappings: stateWords, 'custom.width': 110, ...coloured }),
          column('duration', { unit: unit.seconds, decimals: 1, 'custom.width': 110 }),
        ],
      }),
    ]),
    row(5, [
      24,
      timeline({
        title: 'What run control did',
        description: 'The state of the run under way, or of the last one. What held before the chosen time is shown from its beginning.',
        targets: [stateHistory('run', `"device" = 'run'`, '')],
        unit: unit.text,
        gap: true,
        mappings: stateWords,
      }),
    ]),
    row(8, [12, voltage('High voltage', named('hv'))], [12, amperes('High-voltage current', named('hv'))]),
    row(
      8,
      [12, temperatures('/./')],
      [
        12,
        chart({
          title: 'Duration of runs',
          description: 'One point each, at its start.',
          targets: [series('A', '$tag_procedure', 'SELECT "duration" FROM "run" WHERE $timeFilter GROUP BY "procedure"')],
          unit: unit.seconds,
          draw: 'points',
          gap: 0,
          min: 0,
        }),
      ],
    ),
    row(7, [24, commands('Commands about runs', `"device" = 'run'`, 'Answers of run control to starts and aborts.', ['op', 'phase', 'code', 'message', 'user'])]),
  ],
});

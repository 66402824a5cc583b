// All of it at a glance.

import { dashboard, row, box } from '../dashboard';
import { aliveWords, colour, connectedWords, noneIsGood, stateWords, steps, unit } from '../fields';
import { named, now, series } from '../influx';
import { hvNames, lvNames, ownMeasurements, uid } from '../names';
import { note, outside, stat, textFields } from '../panels';
import { channelsOn, commands, fresh, runRegions, statesNow, tripped, voltage, amperes } from '../shared';
import { temperatures } from './climate';

const any = '/./';
const watched = `"device" !~ /^(?:${ownMeasurements.join('|')})$/ AND "device" !~ /^(?:\${gone:raw})$/`;

const loader = (refId: string, field: string, alias: string) =>
  now(refId, { field: `"${field}"`, from: '"service"', alias, where: `AND "record" = 'loader'`, by: ', "service"' }, '1m');

export const overview = dashboard({
  uid: uid.overview,
  title: 'Overview',
  description: 'Is everything there, is anything on, is anything wrong?',
  annotations: [runRegions],
  variables: [
    box('gone', 'Leave out', 'Regular expression for the names of devices and services that are gone for good: hv_old|gauge_.*', ''),
    box('hv', 'HV names', 'Regular expression for the names of high-voltage supplies. While it is incomplete InfluxDB refuses it, and panels say so.', hvNames),
    box('lv', 'LV names', 'Regular expression for the names of low-voltage supplies.', lvNames),
  ],
  rows: [
    row(
      7,
      [8, fresh(any)],
      [
        4,
        stat({
          title: 'Archive is live',
          description: 'Whether the loader’s own record of the last minute is in the archive: it writes one every ten seconds. If not, the loader or InfluxDB is down, or the broker’s machine; then all that this page shows is old.',
          targets: [series('A', 'archive', `SELECT count("waiting") FROM "service" WHERE time > now() - 1m AND "record" = 'loader'`)],
          unit: unit.none,
          mappings: aliveWords,
          thresholds: steps(colour.bad),
          nothing: 'NO',
        }),
      ],
      [12, statesNow('Devices and services', watched)],
    ),
    row(
      6,
      [
        8,
        stat({
          title: 'Run',
          description: 'The run under way, or else the last one, and its state.',
          targets: [
            now('A', { field: '"run"', from: '"state"', alias: 'number', where: `AND "device" = 'run'` }, '400d'),
            now('B', { field: '"state"', from: '"state"', alias: 'state', where: `AND "device" = 'run'` }, '400d'),
          ],
          unit: unit.text,
          fields: textFields,
          mappings: stateWords,
        }),
      ],
      [4, channelsOn(any)],
      [4, tripped(any)],
      [
        4,
        stat({
          title: 'Archiving',
          description: 'Messages that the loader has and InfluxDB has not confirmed; how long 99 % of live statuses were on their way at most; whether the loader has the broker. A dash: it has said nothing for a minute.',
          targets: [loader('A', 'waiting', 'waiting'), loader('B', 'delay_p99', 'delay'), loader('C', 'connected', 'broker')],
          unit: unit.number,
          thresholds: steps(colour.good, [10_000, colour.warn], [100_000, colour.bad]),
          overrides: [
            { matcher: { id: 'byName', options: 'delay' }, properties: [{ id: 'unit', value: unit.seconds }, { id: 'thresholds', value: steps(colour.good, [5, colour.warn], [60, colour.bad]) }] },
            { matcher: { id: 'byName', options: 'broker' }, properties: [{ id: 'mappings', value: connectedWords }, { id: 'thresholds', value: steps(colour.bad, [0.5, colour.good]) }] },
          ],
        }),
      ],
      [
        4,
        stat({
          title: 'Missing',
          description: 'Statuses that each device sent and the archive does not have, since the loader’s ledger began. A replay may still bring them.',
          targets: [series('A', '$tag_device', `SELECT last("missing") FROM "service" WHERE time > now() - 1d AND "record" = 'ledger' GROUP BY "device"`)],
          unit: unit.number,
          thresholds: noneIsGood,
        }),
      ],
    ),
    row(8, [12, voltage('High voltage', named('hv'))], [12, voltage('Low voltage', named('lv'))]),
    row(8, [12, amperes('High-voltage current', named('hv'))], [12, temperatures(any)]),
    row(
      6,
      [18, commands('Refused and failed', `("phase" = 'rejected' OR "phase" = 'failed')`, 'Commands that a driver refused or could not carry out, newest first. The message names the remedy.')],
      [
        6,
        note(
          'Read this first',
          `**No data is not zero.** A dash or a gap means that nothing was heard, and says nothing about what is on.

What is called *now* is of this moment, whatever time is chosen above; curves and tables are of the chosen time.

Nothing can be switched here: that is done on the ${outside('', 'console')}.`,
        ),
      ],
    ),
  ],
});

// The stack itself: does all that is sent arrive, and how soon?

import { choice, dashboard, row, under } from '../dashboard';
import { colour, coloured, column, connectedWords, noneIsGood, stateWords, steps, unit } from '../fields';
import { rows, series, stateHistory } from '../influx';
import { uid } from '../names';
import { chart, note, stat, table, timeline } from '../panels';
import { fresh, hide, statesNow } from '../shared';

const which = '"service" =~ /^${loader:regex}$/';
const own = `"record" = 'loader' AND ${which}`;
const ledger = `"record" = 'ledger' AND ${which}`;

/** The loader writes its record every ten seconds: 30 s without one is a gap. */
const every = { interval: '10s', gap: 45_000 };

const over = (refId: string, alias: string, select: string) => series(refId, alias, `SELECT ${select} FROM "service" WHERE $timeFilter AND ${own} GROUP BY time($__interval), "service" fill(null)`);

/** How fast a counter grows, per second; a restart is not a fall. */
const rate = (refId: string, field: string) =>
  series(
    refId,
    `$tag_service ${field}`,
    `SELECT mean("n") FROM (SELECT non_negative_derivative("${field}", 1s) AS "n" FROM "service" WHERE $timeFilter AND ${own} GROUP BY "service") WHERE $timeFilter GROUP BY time($__interval), "service" fill(null)`,
  );

const nowOf = (refId: string, field: string, alias: string) => series(refId, alias, `SELECT last("${field}") FROM "service" WHERE time > now() - 1m AND ${own} GROUP BY "service"`);

export const stack = dashboard({
  uid: uid.stack,
  title: 'The stack itself',
  description: 'The loader’s account of what it has received and InfluxDB has confirmed; delays; states of services.',
  variables: [choice({ name: 'loader', label: 'Loader', description: 'Several loaders with different names may archive the same.', query: 'SHOW TAG VALUES FROM "service" WITH KEY = "service"' })],
  rows: [
    row(5, [16, statesNow('Devices and services', `"device" != 'run'`)], [8, fresh('/./')]),
    row(
      4,
      [
        6,
        stat({
          title: 'Connected to the broker',
          description: 'Whether the loader is; a dash if it has written nothing for a minute, because it or InfluxDB is down.',
          targets: [nowOf('A', 'connected', '$tag_service')],
          unit: unit.none,
          mappings: connectedWords,
          thresholds: steps(colour.bad, [0.5, colour.good]),
        }),
      ],
      [
        6,
        stat({
          title: 'Waiting',
          description: 'Messages that were received and that InfluxDB has not confirmed. Grows while InfluxDB is down; nothing is lost then.',
          targets: [nowOf('A', 'waiting', '$tag_service')],
          unit: unit.number,
          thresholds: steps(colour.good, [10_000, colour.warn], [100_000, colour.bad]),
        }),
      ],
      [
        6,
        stat({
          title: 'Dead letters',
          description: 'Entries of the dashboard’s time that could not be stored, and of which the archive knows: the table below names them, and the loader’s file has them whole.',
          targets: [series('A', '$tag_service', `SELECT count("reason") FROM "service" WHERE $timeFilter AND "record" = 'dead_letter' AND ${which} GROUP BY "service"`)],
          unit: unit.number,
          thresholds: steps(colour.good, [1, colour.warn]),
          nothing: 'none',
        }),
      ],
      [
        6,
        stat({
          title: 'Devices heard',
          description: 'Devices whose statuses came in the last ten seconds. Slow ones come and go here.',
          targets: [nowOf('A', 'devices', '$tag_service')],
          unit: unit.number,
        }),
      ],
    ),
    under(
      'Is all of it there?',
      row(
        8,
        [
          16,
          table({
            title: 'Ledger',
            description:
              'What this loader has counted since its data folder began, a device a line. missing: numbers that the device gave and the archive does not have; a replay may still bring them. ' +
              'duplicates do no harm. refused: see dead letters. skew: the device’s clock less the loader’s.',
            targets: [
              rows(
                'SELECT last("seen") AS "seen", last("missing") AS "missing", last("gaps") AS "gaps", last("duplicates") AS "duplicates", last("refused") AS "refused", ' +
                  `last("skew") AS "skew" FROM "service" WHERE time > now() - 1d AND ${ledger} GROUP BY "device", "service"`,
              ),
            ],
            unit: unit.none,
            transformations: hide('Time'),
            overrides: [
              ...['missing', 'gaps', 'refused'].map((f) => column(f, { thresholds: noneIsGood, ...coloured })),
              column('skew', { unit: unit.seconds, decimals: 3 }),
            ],
          }),
        ],
        [8, note('What proves it', 'Devices number their statuses. Whoever has all numbers of a start has lost nothing.\n\nThe ledger counts as the loader goes; `dcs audit` proves the same from the archive, number by number.\n\nWhile a loader is down nothing is lost: the broker keeps its messages, and devices send them again.')],
      ),
    ),
    row(
      7,
      [
        8,
        chart({
          title: 'Missing',
          description: 'Statuses that are missing, by device. It falls when a replay brings them.',
          targets: [series('A', '$tag_device', `SELECT max("missing") FROM "service" WHERE $timeFilter AND ${ledger} GROUP BY time($__interval), "device" fill(null)`)],
          unit: unit.number,
          draw: 'steps',
          interval: '1m',
          gap: 300_000,
          min: 0,
        }),
      ],
      [
        8,
        chart({
          title: 'Duplicates',
          description: 'Statuses that came more than once: each replay and each restart of the loader makes some. In the archive they are one point.',
          targets: [series('A', '$tag_device', `SELECT max("duplicates") FROM "service" WHERE $timeFilter AND ${ledger} GROUP BY time($__interval), "device" fill(null)`)],
          unit: unit.number,
          draw: 'steps',
          interval: '1m',
          gap: 300_000,
          min: 0,
        }),
      ],
      [
        8,
        chart({
          title: 'Clock skew',
          description: 'The device’s clock less the loader’s; the way from one to the other makes it too low by milliseconds. Past a second, times of different devices cannot be compared.',
          targets: [series('A', '$tag_device', `SELECT mean("skew") FROM "service" WHERE $timeFilter AND ${ledger} GROUP BY time($__interval), "device" fill(null)`)],
          unit: unit.seconds,
          interval: '1m',
          gap: 300_000,
        }),
      ],
    ),
    under(
      'How soon?',
      row(
        8,
        [
          12,
          chart({
            title: 'Delay until InfluxDB has it',
            description: 'How long live statuses were on their way until InfluxDB had confirmed them, each ten seconds: median, 99 %, and the longest. Logarithmic. Replays do not count.',
            targets: [over('A', '$tag_service median', 'max("delay_p50")'), over('C', '$tag_service 99 %', 'max("delay_p99")'), over('D', '$tag_service longest', 'max("delay_max")')],
            unit: unit.seconds,
            log: true,
            ...every,
          }),
        ],
        [
          12,
          chart({
            title: 'Broker and back',
            description: 'How long the broker takes to hand a message of the loader back to it.',
            targets: [over('A', '$tag_service', 'max("broker_rtt")')],
            unit: unit.seconds,
            ...every,
          }),
        ],
      ),
    ),
    row(
      8,
      [12, chart({ title: 'Messages and lines a second', description: 'Messages received from the broker, and lines of them written to InfluxDB: a supply’s status is a line for each channel. Bad messages could not be read, refused lines InfluxDB did not take.', targets: [rate('A', 'received'), rate('C', 'written'), rate('D', 'bad'), rate('E', 'refused')], unit: unit.perSecond, min: 0, ...every })],
      [12, chart({ title: 'Waiting', description: 'Messages not yet confirmed by InfluxDB.', targets: [over('A', '$tag_service', 'max("waiting")')], unit: unit.number, min: 0, ...every })],
    ),
    row(
      7,
      [8, chart({ title: 'Spool on disk', description: 'What waits on the loader’s disk.', targets: [over('A', '$tag_service', 'max("spool_bytes")')], unit: unit.bytes, min: 0, ...every })],
      [8, chart({ title: 'Memory of the loader', description: 'As the operating system sees it.', targets: [over('A', '$tag_service', 'max("memory")')], unit: unit.bytes, min: 0, ...every })],
      [8, chart({ title: 'CPU of the loader', description: 'Of one core; 1 is all of it.', targets: [rate('A', 'cpu')], unit: unit.none, min: 0, ...every })],
    ),
    row(8, [
      24,
      timeline({
        title: 'States',
        description: 'Of all devices and services. What held before the chosen time is shown from its beginning.',
        targets: [stateHistory('$tag_device', `"device" != 'run'`)],
        unit: unit.text,
        gap: true,
        mappings: stateWords,
      }),
    ]),
    row(7, [
      24,
      table({
        title: 'Dead letters',
        description: 'What could not be stored, and why; the payload is in the loader’s dead-letter file.',
        targets: [rows(`SELECT "service", "topic", "reason", "seq" FROM "service" WHERE $timeFilter AND "record" = 'dead_letter' AND ${which} ORDER BY time DESC LIMIT 100`)],
        unit: unit.none,
        overrides: [column('Time', { unit: unit.time, 'custom.width': 180 }), column('service', { 'custom.width': 110 }), column('topic', { 'custom.width': 260 }), column('seq', { 'custom.width': 90 })],
      }),
    ]),
  ],
});

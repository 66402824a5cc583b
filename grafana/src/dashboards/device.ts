// One device, all that the archive has of it.

import { FieldColorModeId, LineInterpolation } from '@grafana/schema';
import type { ValueMapping } from '@grafana/schema';
import { choice, dashboard, folded, row, under } from '../dashboard';
import { alarmWords, colour, noneIsGood, onInTimeWords, stateWords, unit } from '../fields';
import { highest, inTime, lastOf, longAgo, now, ofChannels, series, stateHistory, withEnvelope } from '../influx';
import type { Override } from '../fields';
import type { Field } from '../influx';
import { uid } from '../names';
import { chart, note, stat, textFields, timeline } from '../panels';
import { channelsNow, channelsRange, commands, deviceChoice, fresh, ofDevices as from, refusals, runRegions, supplyGap } from '../shared';
import { others, temperatures, humidities } from './climate';

const where = 'AND "number" =~ /^${channel:regex}$/';
const mine = `"device" = '\${device:raw}'`;

const field = (name: string, alias = `${name} $tag_number`): Field => ({ field: `"${name}"`, from, alias, where, by: ofChannels });

const setpoint = (refId: string): Override => ({
  matcher: { id: 'byFrameRefID', options: refId },
  properties: [
    { id: 'custom.lineInterpolation', value: LineInterpolation.StepAfter },
    { id: 'custom.lineStyle', value: { fill: 'dash', dash: [8, 4] } },
    { id: 'color', value: { mode: FieldColorModeId.Fixed, fixedColor: colour.grey } },
  ],
});

const flag = (refId: string, name: string) => highest(refId, field(name, `$tag_number ${name}`));

const flagWords = (refId: string, words: ValueMapping[]): Override => ({
  matcher: { id: 'byFrameRefID', options: refId },
  properties: [{ id: 'mappings', value: words }],
});

/**
 * The mean over each point of what is counted minute by minute. The inner fill is
 * none: with another, InfluxQL does not put the series in order of time. Minutes
 * end now, so that the last one is whole.
 */
const aMinute = (select: string, by: string): string =>
  `SELECT mean("n") FROM (SELECT ${select} AS "n" FROM ${from} WHERE $timeFilter GROUP BY time(1m, now())${by} fill(none)) WHERE $timeFilter GROUP BY time($__interval) fill(null)`;

export const device = dashboard({
  uid: uid.device,
  title: 'One device in detail',
  description: 'State, statuses, each channel’s readings and setpoints, flags, and what was commanded.',
  annotations: [runRegions, refusals('${device:raw}')],
  variables: [
    deviceChoice(true),
    choice({ name: 'channel', label: 'Channel', description: 'Of a power supply; a sensor has none.', query: `SHOW TAG VALUES FROM ${from} WITH KEY = "number"` }),
  ],
  rows: [
    row(
      5,
      [
        8,
        stat({
          title: 'State',
          description: 'The last in the archive, however old, and what the driver says is wrong.',
          targets: [
            now('A', { field: '"state"', from: '"state"', alias: 'state', where: `AND ${mine}` }, longAgo),
            now('B', { field: '"error"', from: '"state"', alias: 'error', where: `AND ${mine}` }, longAgo),
          ],
          unit: unit.text,
          fields: textFields,
          mappings: stateWords,
        }),
      ],
      [6, fresh(from)],
      [
        10,
        chart({
          title: 'Statuses a minute',
          description: 'What the device numbered (sent) and what the archive has. They differ where statuses are missing; a replay closes the gap later. Minutes are counted back from now: of a time of the past the first and the last point may be of a part of one.',
          targets: [
            series('A', 'sent', aMinute('non_negative_derivative(max("seq"), 1m)', '')),
            series('C', 'archived', aMinute('count("seq")', ofChannels)),
          ],
          unit: unit.perMinute,
          interval: '1m',
          min: 0,
          gap: 120_000,
        }),
      ],
    ),
    row(4, [
      24,
      timeline({
        title: 'States',
        description: 'What held before the chosen time is shown from its beginning. lost: the broker says that the driver died; unreachable: the driver lives and its instrument is silent.',
        targets: [stateHistory('$tag_device', mine)],
        unit: unit.text,
        gap: true,
        mappings: stateWords,
      }),
    ]),
    under('Power supply (empty for a sensor)', row(9, [
      24,
      chart({
        title: 'Voltage: measured and setpoint',
        description: 'Dashed grey: the setpoint as the supply reads it back. Dots: smallest and largest value of each point.',
        targets: [...withEnvelope(field('vmon')), lastOf('C', field('vreq'))],
        overrides: [setpoint('C')],
        unit: unit.volt,
        gap: supplyGap,
      }),
    ])),
    row(9, [
      24,
      chart({
        title: 'Current: measured',
        description: 'Dots: smallest and largest value of each point. The limit is in the panel below: it is often a thousand times more.',
        targets: withEnvelope(field('imon')),
        unit: unit.ampere,
        gap: supplyGap,
      }),
    ]),
    row(
      7,
      [8, chart({ title: 'Current limit', description: 'As the supply reads it back.', targets: [lastOf('A', field('ireq'))], unit: unit.ampere, gap: supplyGap, draw: 'steps' })],
      [8, chart({ title: 'Ramp speed, V/s', description: 'A magnitude. Empty where the supply has none.', targets: [lastOf('A', field('ramp'))], unit: unit.none, gap: supplyGap, draw: 'steps' })],
      [8, note('Reading this page', `**No data is not zero.** A gap means that no status came.

Flags that a supply does not have are not there: an HMP4040 has no interlock and no ramp.

A lock is somebody's tag-out: ask who is named in *Commands* before it is taken off.`)],
    ),
    row(9, [
      24,
      timeline({
        title: 'Flags',
        description: 'A flag that was set for a moment colours the whole point. on: blue where it was both on and off; ramping; limited: held by the current limit; trip: latched; interlock: open; locked: tagged out.',
        targets: [inTime('A', field('on', '$tag_number on')), flag('B', 'ramping'), flag('C', 'limited'), flag('D', 'trip'), flag('E', 'interlock'), flag('F', 'locked')],
        unit: unit.none,
        mappings: alarmWords('trip'),
        overrides: [
          flagWords('A', onInTimeWords),
          flagWords('B', alarmWords('ramping', colour.busy)),
          flagWords('C', alarmWords('limited', colour.warn)),
          flagWords('E', alarmWords('interlock')),
          flagWords('F', alarmWords('locked', colour.warn)),
        ],
        interval: '5s',
        gap: supplyGap,
      }),
    ]),
    row(7, [24, channelsNow()]),
    folded('In this time (open it: for 30 days it takes some seconds)', row(6, [24, channelsRange()])),
    under('Sensor (empty for a supply)', row(8, [8, temperatures(from)], [8, humidities(from)], [8, others(from)])),
    under('Commands and losses', row(8, [18, commands('Commands', mine, 'Each answer of the driver: accepted or rejected, then done, failed or superseded.')], [
      6,
      stat({
        title: 'The loader’s ledger',
        description: 'Since this loader began: statuses that are missing, and the gaps that they make; those that came twice, which does no harm; those that InfluxDB refused.',
        targets: [series('A', '$col', `SELECT last("missing") AS "missing", last("gaps") AS "gaps", last("refused") AS "refused" FROM "service" WHERE time > now() - 1d AND "record" = 'ledger' AND ${mine}`)],
        unit: unit.number,
        thresholds: noneIsGood,
      }),
    ])),
  ],
});

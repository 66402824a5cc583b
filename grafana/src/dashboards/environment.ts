// Temperatures, humidity, dew point, pressures, and what sensors measure besides.

import { dashboard, row } from '../dashboard';
import { colour, steps, unit } from '../fields';
import { series } from '../influx';
import { uid } from '../names';
import { stat } from '../panels';
import { deviceChoice, fresh, ofDevices, runRegions } from '../shared';
import { dewPoint, fieldsOf, humidities, marginNow, others, outside, pressures, short, temperatures, words } from './climate';

/** A sensor may be read once a minute. */
const recently = '5m';

const nowOf = (title: string, word: string, unitName: string) =>
  stat({
    title,
    description: `The newest of each field of which a word begins with “${word}”, not older than ${recently}, whatever the dashboard’s time. A dash: there is none.`,
    targets: [series('A', '$m $col', `SELECT last(${fieldsOf(word)}) FROM ${ofDevices} WHERE time > now() - ${recently}`)],
    transformations: [short],
    unit: unitName,
    decimals: 1,
  });

export const environment = dashboard({
  uid: uid.environment,
  title: 'Environment',
  description: 'Temperatures, humidity, dew point and pressures of all devices that measure them.',
  annotations: [runRegions],
  variables: [deviceChoice()],
  rows: [
    row(
      5,
      [6, nowOf('Temperature now', words.temperature, unit.celsius)],
      [6, nowOf('Humidity now', words.humidity, unit.humidity)],
      [
        6,
        stat({
          title: 'Air above its dew point',
          description: `How much the air may cool down before water condenses: temperature less dew point, by the newest status that is not older than ${recently}, whatever the dashboard’s time. Orange below 5 °C, red below 2 °C. Cold surfaces condense earlier.`,
          targets: [series('A', '$m', marginNow(ofDevices, recently))],
          unit: unit.celsius,
          decimals: 1,
          thresholds: steps(colour.bad, [2, colour.warn], [5, colour.good]),
        }),
      ],
      [6, fresh(ofDevices)],
    ),
    row(9, [24, temperatures(ofDevices)]),
    row(8, [12, humidities(ofDevices)], [12, dewPoint(ofDevices)]),
    row(8, [12, pressures(ofDevices)], [12, outside()]),
    row(8, [24, others(ofDevices)]),
  ],
});

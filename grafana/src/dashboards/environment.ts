// Temperatures, humidity, dew point, pressures, and what sensors measure besides.

import { dashboard, row } from '../dashboard';
import { colour, steps, unit } from '../fields';
import { now, series } from '../influx';
import { uid } from '../names';
import { stat } from '../panels';
import { deviceChoice, fresh, ofDevices, runRegions } from '../shared';
import { dewPoint, humidities, marginQuery, others, outside, pressures, temperatures } from './climate';

/** A sensor may be read once a minute. */
const recently = '5m';

const nowOf = (title: string, field: string, unitName: string) =>
  stat({
    title,
    description: `The newest ${field} of each device that has one, not older than ${recently}. A dash: there is none.`,
    targets: [now('A', { field: `"${field}"`, from: ofDevices, alias: '$m' }, recently)],
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
      [6, nowOf('Temperature now', 'temperature', unit.celsius)],
      [6, nowOf('Humidity now', 'humidity', unit.humidity)],
      [
        6,
        stat({
          title: 'Air above its dew point',
          description: 'How much the air may cool down before water condenses: temperature less dew point, in the dashboard’s time. Orange below 5 °C, red below 2 °C. Cold surfaces condense earlier.',
          targets: [series('A', '$m', marginQuery(ofDevices))],
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

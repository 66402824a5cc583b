// Curves of sensors. What a sensor measures is told by its fields' names.

import type { DataTransformerConfig, Panel } from '@grafana/schema';
import { unit } from '../fields';
import { series } from '../influx';
import { chart } from '../panels';
import { sensorGap } from '../shared';

/**
 * Fields that have a panel of their own: a word of their name begins so. In
 * "attempts" it does not.
 */
export const words = { temperature: 'temp', humidity: 'humid', pressure: 'press' } as const;
const own = (word: string): string => `(^|_)${word}`;

/** All fields of a quantity, as InfluxQL finds them. */
export const fieldsOf = (word: string): string => `/(?i)${own(word)}/`;

/** Fields that are bookkeeping. */
const bookkeeping = ['seq', 'run', 'running', 'lines', 'sent', 'waiting', 'free'];

/** mean_temperature is what InfluxQL calls the mean of a field found by its name. */
export const short: DataTransformerConfig = { id: 'renameByRegex', options: { regex: '^(\\S+) (?:mean|min|max|last)_(.*)$', renamePattern: '$1 $2' } };

const over = (select: string, from: string, where = ''): string => `SELECT ${select} FROM ${from} WHERE $timeFilter${where} GROUP BY time($__interval) fill(null)`;

/** All fields of a quantity, with smallest and largest values. */
function quantity(title: string, word: string, unitName: string, from: string, description: string, more: { min?: number; max?: number; log?: boolean } = {}): Panel {
  return chart({
    title,
    description,
    targets: [series('A', '$m $col', over(`mean(${fieldsOf(word)})`, from)), series('B', '$m $col', over(`min(${fieldsOf(word)}), max(${fieldsOf(word)})`, from))],
    unit: unitName,
    gap: sensorGap,
    transformations: [short],
    ...more,
  });
}

const rule = (word: string): string => `All fields of which a word begins with “${word}”, of any device.`;
const line = 'Dots alone: readings more than 30 s apart. The line is the mean of each point, the dots its smallest and largest value. The legend’s Min and Max are those of the line.';

export const temperatures = (from: string): Panel => quantity('Temperature', words.temperature, unit.celsius, from, `${rule(words.temperature)} ${line}`);

export const humidities = (from: string): Panel => quantity('Relative humidity', words.humidity, unit.humidity, from, `${rule(words.humidity)} ${line}`, { min: 0, max: 100 });

export const pressures = (from: string): Panel =>
  quantity('Pressure', words.pressure, unit.pascal, from, `${rule(words.pressure)} Logarithmic. ${line} Empty where no device measures one.`, { log: true });

/** Magnus' formula over water, -45 to 60 °C (Sonntag 1990), of an aggregate of both. */
function dew(aggregate: 'mean' | 'last'): string {
  const t = `${aggregate}("temperature")`;
  const gamma = `(ln(${aggregate}("humidity") / 100) + 17.62 * ${t} / (243.12 + ${t}))`;
  return `243.12 * ${gamma} / (17.62 - ${gamma})`;
}

const dewQuery = (from: string): string => over(`${dew('mean')} AS "dew point"`, from, ' AND "humidity" > 0');

/** Of now, and not of what somebody said last in the dashboard's time. */
export const marginNow = (from: string, age: string): string =>
  `SELECT last("temperature") - ${dew('last')} AS "above dew point" FROM ${from} WHERE time > now() - ${age} AND "humidity" > 0`;

export const dewPoint = (from: string): Panel =>
  chart({
    title: 'Dew point',
    description: 'Of each device that has the two fields temperature and humidity, by Magnus’ formula from their means. Whatever is colder than this gets wet: compare it with the coldest surface, not with the air.',
    targets: [series('A', '$m $col', dewQuery(from))],
    unit: unit.celsius,
    gap: sensorGap,
  });

/** What devices without channels measure besides. */
export const others = (from: string): Panel =>
  chart({
    title: 'Other quantities',
    description: 'All other numbers of devices without channels, in their own units: their meta and the console know them.',
    targets: [series('A', '$m $col', over('mean(*)', from, ` AND "number" = ''`))],
    unit: unit.none,
    gap: sensorGap,
    transformations: [
      // Names here are those that are shown, "sensor_1 mean_meas1". Without slashes Grafana would anchor it.
      { id: 'filterFieldsByName', options: { exclude: { pattern: `/ mean_(.*_)?(${Object.values(words).join('|')})|(?: mean_)(${bookkeeping.join('|')})$/i` } } },
      short,
    ],
  });

/** Devices that are not ours: /sensor/<name>/<measurement>. */
export const outside = (): Panel =>
  chart({
    title: 'Outside devices',
    description: 'What Arduinos and the like send to /sensor/<name>/<measurement>. Empty where there are none.',
    targets: [
      series('A', '$tag_sensor $tag_measurement', 'SELECT mean("value") FROM "sensor" WHERE $timeFilter GROUP BY time($__interval), "sensor", "measurement" fill(null)'),
      series('B', '$tag_sensor $tag_measurement', 'SELECT min("value"), max("value") FROM "sensor" WHERE $timeFilter GROUP BY time($__interval), "sensor", "measurement" fill(null)'),
    ],
    unit: unit.none,
    gap: sensorGap,
  });

// Curves of sensors. What a sensor measures is told by its fields' names.

import type { DataTransformerConfig, Panel } from '@grafana/schema';
import { unit } from '../fields';
import { series } from '../influx';
import { chart } from '../panels';
import { sensorGap } from '../shared';

/** Fields that have a panel of their own, and those that are bookkeeping. */
const known = /temp|humid|press|dew/;
const bookkeeping = ['seq', 'run', 'running', 'lines', 'sent', 'waiting', 'free'];

/** mean_temperature is what InfluxQL calls the mean of a field found by its name. */
const short: DataTransformerConfig = { id: 'renameByRegex', options: { regex: '^(\\S+) (?:mean|min|max)_(.*)$', renamePattern: '$1 $2' } };

const over = (select: string, from: string, where = ''): string => `SELECT ${select} FROM ${from} WHERE $timeFilter${where} GROUP BY time($__interval) fill(null)`;

/** All fields whose name contains a word, with smallest and largest values. */
function quantity(title: string, word: string, unitName: string, from: string, description: string, more: { min?: number; max?: number; log?: boolean } = {}): Panel {
  return chart({
    title,
    description,
    targets: [series('A', '$m $col', over(`mean(/${word}/)`, from)), series('B', '$m $col', over(`min(/${word}/), max(/${word}/)`, from))],
    unit: unitName,
    gap: sensorGap,
    transformations: [short],
    ...more,
  });
}

const line = 'The line is the mean of each point, the dots its smallest and largest value. The legend’s Min and Max are those of the line.';

export const temperatures = (from: string): Panel => quantity('Temperature', 'temp', unit.celsius, from, `All fields named temperature, of any device. ${line}`);

export const humidities = (from: string): Panel => quantity('Relative humidity', 'humid', unit.humidity, from, `All fields named humidity. ${line}`, { min: 0, max: 100 });

export const pressures = (from: string): Panel =>
  quantity('Pressure', 'press', unit.pascal, from, `All fields named pressure, on a logarithmic scale. ${line} Empty where no device measures one.`, { log: true });

const t = 'mean("temperature")';
// Magnus' formula over water, -45 to 60 °C (Sonntag 1990).
const gamma = `(ln(mean("humidity") / 100) + 17.62 * ${t} / (243.12 + ${t}))`;
const dew = `243.12 * ${gamma} / (17.62 - ${gamma})`;

export const dewQuery = (from: string): string => over(`${dew} AS "dew point"`, from, ' AND "humidity" > 0');
export const marginQuery = (from: string): string => over(`${t} - ${dew} AS "above dew point"`, from, ' AND "humidity" > 0');

export const dewPoint = (from: string): Panel =>
  chart({
    title: 'Dew point',
    description: 'Of each device that measures temperature and humidity, by Magnus’ formula from their means. Whatever is colder than this gets wet: compare it with the coldest surface, not with the air.',
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
      { id: 'filterFieldsByName', options: { exclude: { pattern: `mean_(.*(${known.source}).*|${bookkeeping.join('|')})$` } } },
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

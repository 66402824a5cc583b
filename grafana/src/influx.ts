// Queries of the archive in InfluxQL, as Grafana keeps them.

import type { DataQuery } from '@grafana/schema';
import { archive } from './names';

export interface Target extends DataQuery {
  query: string;
  rawQuery: true;
  resultFormat: 'time_series' | 'table';
  /** Name of a series: $m is the measurement, $tag_x a tag, $col the column. */
  alias?: string;
  [key: string]: unknown;
}

function target(refId: string, query: string, more: Partial<Target>): Target {
  return { refId, datasource: archive, query, rawQuery: true, resultFormat: 'time_series', ...more };
}

/** A query that gives series, named by alias. */
export const series = (refId: string, alias: string, query: string): Target => target(refId, query, { alias });

/** A query of one measurement that gives a table. */
export const rows = (query: string): Target => target('A', query, { resultFormat: 'table' });

/** All measurements that a variable with several values names. */
export const devices = (variable: string): string => `/^\${${variable}:regex}$/`;

/** All measurements whose name matches what a text variable says. */
export const named = (variable: string): string => `/(?:\${${variable}:raw})/`;

export interface Field {
  field: string;
  from: string;
  alias: string;
  /** More conditions, beginning with AND. */
  where?: string;
  /** Tags that tell series apart, beginning with a comma. */
  by?: string;
}

export const ofChannels = ', "number"';

/** How an aggregate of a field goes over the dashboard's time. */
function over(f: Field, select: string): string {
  return `SELECT ${select} FROM ${f.from} WHERE $timeFilter${f.where ? ' ' + f.where : ''} GROUP BY time($__interval)${f.by ?? ''} fill(null)`;
}

/**
 * A field over time, by its mean, and as B the smallest and largest value of
 * each point: a spike of one second is still there in 30 days.
 */
export function withEnvelope(f: Field): Target[] {
  return [series('A', f.alias, over(f, `mean(${f.field})`)), series('B', f.alias, over(f, `min(${f.field}), max(${f.field})`))];
}

/** The largest value of each point: of a flag, whether it ever was set. */
export const highest = (refId: string, f: Field): Target => series(refId, f.alias, over(f, `max(${f.field})`));

/** Of a flag: 0 if it never was set in a point, 2 if it always was, 1 if both. */
export const inTime = (refId: string, f: Field): Target => series(refId, f.alias, over(f, `min(${f.field}) + max(${f.field})`));

/** The last value of each point. */
export const lastOf = (refId: string, f: Field): Target => series(refId, f.alias, over(f, `last(${f.field})`));

/**
 * What a device said lately, in percent of what it usually said in the last 24
 * hours: the archive does not know its period, so it is compared with itself. The
 * usual is sum(n²)/sum(n) of its counts: a time without any does not lower it, and
 * a device that has become slow is not soon usual. What has a record is the
 * loader's own, with the seq of somebody else.
 */
function comparedWith(refId: string, from: string, window: string, which: string): Target {
  const counts = `SELECT count("seq") AS "n" FROM ${from} WHERE time > now() - 24h AND time < now() AND "record" = '' GROUP BY time(${window}, now()) fill(0)`;
  const usual = `SELECT last("n") AS "late", sum("m") / sum("n") AS "usual" FROM (SELECT "n", "n" * "n" AS "m" FROM (${counts}))`;
  return series(refId, '$m', `SELECT "late" / "usual" * 100 FROM (${usual}) WHERE "usual" ${which}`);
}

/** Six statuses a minute and more are looked for in a minute, fewer in a quarter of an hour. */
export const freshness = (from: string): Target[] => [comparedWith('A', from, '1m', '>= 6'), comparedWith('B', from, '15m', '< 90')];

/** The newest of a field that is not older than age, whatever the dashboard's time. */
export const now = (refId: string, f: Field, age: string): Target =>
  series(refId, f.alias, `SELECT last(${f.field}) FROM ${f.from} WHERE time > now() - ${age}${f.where ? ' ' + f.where : ''}${f.by ? ' GROUP BY ' + f.by.slice(2) : ''}`);

/** A flag of now, summed over a device's channels. */
export const sumNow = (field: string, from: string, age: string): Target =>
  series('A', '$m', `SELECT sum("v") FROM (SELECT last("${field}") AS "v" FROM ${from} WHERE time > now() - ${age} GROUP BY "number")`);

/** States change seldom: the one that holds may be from long ago. */
export const longAgo = '400d';

/** Who has said no state for so long is not among those that are watched. */
export const lately = '30d';

/** The states of the dashboard's time, with what held before it. */
export const stateHistory = (alias: string, where: string, by = ' GROUP BY "device"'): Target =>
  series('A', alias, `SELECT "state" FROM "state" WHERE time >= \${__from}ms - ${longAgo} AND time <= \${__to}ms AND ${where}${by}`);

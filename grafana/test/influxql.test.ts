import assert from 'node:assert/strict';
import { test } from 'node:test';
import { faults, variables } from './influxql';

test('queries that are wrong are found', () => {
  for (const [query, fault] of [
    ['SELECT last(on) FROM "hv" WHERE $timeFilter', 'keyword'],
    ['SELECT last("v") AS on FROM "hv" WHERE $timeFilter', 'keyword'],
    ['SELECT last("v") FROM "hv"', 'without a time'],
    ['SELECT sum("v") FROM (SELECT last("on") AS "v" FROM "hv" GROUP BY "number")', 'without a time'],
    ['SELECT mean("v") FROM "hv" WHERE $timeFilter GROUP BY time($__interval)', 'without fill'],
    ['SELECT mean("v" FROM "hv" WHERE $timeFilter', 'parentheses'],
    ['SELECT mean("v") FROM "hv WHERE $timeFilter', 'quote'],
    ['DROP MEASUREMENT "hv"', 'neither'],
  ] as const) {
    assert.match(faults(query).join('; '), new RegExp(fault), query);
  }
});

test('queries that are right pass', () => {
  for (const query of [
    'SELECT last("on") AS "on" FROM /^${device:regex}$/ WHERE $timeFilter GROUP BY time($__interval), "number" fill(null)',
    'SELECT sum("v") FROM (SELECT last("on") AS "v" FROM /./ WHERE time > now() - 1m GROUP BY "number")',
    'SELECT "state" FROM "state" WHERE time >= ${__from}ms - 400d AND time <= ${__to}ms AND "device" != \'run\'',
    'SHOW MEASUREMENTS WITH MEASUREMENT =~ /${names:raw}/ WHERE "number" =~ /./',
    'SHOW TAG VALUES FROM "${device:raw}" WITH KEY = "number"',
  ]) {
    assert.deepEqual(faults(query), [], query);
  }
});

test('variables are told by their names', () => {
  assert.deepEqual(variables('$timeFilter ${device:regex} ${x} /^a$/'), ['timeFilter', 'device', 'x']);
});

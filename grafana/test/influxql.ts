// As much of InfluxQL as it takes to see that a query can be one.

/** Grafana's own words in queries. */
export const macros = ['timeFilter', '__interval', '__interval_ms', '__from', '__to'];

/** Words that InfluxQL would take for its own unless they are quoted. */
const keywords = new Set(['on', 'key', 'values', 'field', 'tag', 'name', 'user', 'read', 'write', 'end', 'begin', 'duration', 'default', 'group', 'limit', 'order', 'measurement', 'series', 'show', 'to', 'in', 'any', 'all', 'revoke', 'set', 'drop']);

/** The keywords that our queries use as such, in the places where they may stand. */
const phrases = /\b(GROUP BY|ORDER BY time DESC|LIMIT \d+|SHOW TAG VALUES FROM|SHOW MEASUREMENTS|WITH KEY =|WITH MEASUREMENT =~)/g;

/** What stands for itself when a query is looked at word by word. */
const variable = /\$\{(\w+)(?::\w+)?\}|\$(\w+)/g;

/** The names of the variables that a text uses. */
export const variables = (text: string): string[] => [...text.matchAll(variable)].map((m) => m[1] ?? m[2] ?? '');

/** What is wrong with a query; empty if nothing was found. */
export function faults(query: string): string[] {
  const found: string[] = [];
  let left = query.replace(variable, (_, braced: string | undefined) => (braced ? 'x' : '_macro_'));
  left = left.replace(/"[^"\n]+"/g, 'quoted').replace(/'[^'\n]*'/g, 'text');
  left = left.replace(/(=~|!~|FROM|\() ?\/(?:[^/\\\n]|\\.)+\//g, '$1 expression');
  if (/["'\\]/.test(left)) found.push('a quote that does not end');
  let depth = 0;
  for (const c of left) {
    if (c === '(') depth++;
    if (c === ')' && --depth < 0) break;
  }
  if (depth !== 0) found.push('parentheses that do not match');
  for (const word of left.replace(phrases, ' ').match(/[A-Za-z_]\w*/g) ?? []) {
    if (keywords.has(word.toLowerCase())) found.push(`${word} is a keyword and not quoted`);
  }
  if (!/^(SELECT .+ FROM .+|SHOW (MEASUREMENTS|TAG VALUES)\b.*)$/s.test(left)) found.push('neither SELECT … FROM nor SHOW');
  if (left.startsWith('SELECT')) {
    const froms = left.match(/\bFROM (?!\()/g)?.length ?? 0;
    const times = left.match(/\bWHERE (_macro_|time (>|>=) )/g)?.length ?? 0;
    if (times < froms) found.push('a FROM without a time');
    if (/GROUP BY time\(/.test(left) && !/fill\(\w+\)/.test(left)) found.push('GROUP BY time without fill');
  }
  return found;
}

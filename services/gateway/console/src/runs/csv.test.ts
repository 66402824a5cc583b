import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cellText, guessSeparator, isNumeric, numberOf, parseRecord, parseTable, readTable, TableReader } from './data/csv'

const names = (text: string) => parseTable(text).columns.map(c => c.name)
const cells = (text: string) => {
  const t = parseTable(text)
  return Array.from({ length: t.rows }, (_, i) => t.columns.map(c => cellText(c, i)))
}

test('separators: the most frequent in the first row, not in quotes', () => {
  for (const [row, want] of [['a,b,c', ','], ['a;b;c', ';'], ['a\tb', '\t'], ['a;"x,y,z";b', ';'], ['only', ',']] as const) assert.equal(guessSeparator(row), want, row)
  assert.deepEqual(cells('a;b\n1,5;2\n'), [['1,5', '2']])
})

test('quotes', () => {
  for (const [row, want] of [
    ['"a,b",c', ['a,b', 'c']],
    ['"he said ""no""",1', ['he said "no"', '1']],
    ['"",x', ['', 'x']],
    ['a "b" c,d', ['a "b" c', 'd']],
    ['"a"b,c', ['ab', 'c']],
    ['a,"b"', ['a', 'b']],
    ['a,', ['a', '']],
    ['"open,1', null],
  ] as const) assert.deepEqual(parseRecord(row, ','), want, row)
  assert.deepEqual(cells('a,b\n"two\nlines",1\n'), [['two\nlines', '1']])
})

test('names, numbers without names, a byte order mark, comments, CRLF, empty rows', () => {
  assert.deepEqual(names('\uFEFFchip,channel\r\n0,1\r\n'), ['chip', 'channel'])
  assert.deepEqual(names('1,2\n3,4'), ['1', '2'])
  assert.equal(parseTable('1,2\n3,4').rows, 2)
  assert.deepEqual(cells('# made by hand\na,b\n\n# and on\n1,2\n'), [['1', '2']])
  assert.deepEqual(parseTable(''), { columns: [], rows: 0, cut: false })
})

test('numbers', () => {
  for (const [cell, want] of [['1', 1], [' -2.5e3 ', -2500], ['.5', 0.5], ['5.', 5]] as const) assert.equal(numberOf(cell), want)
  for (const cell of ['', 'NaN', 'Infinity', '0x10', '1,5', '1 2', 'on']) assert.ok(Number.isNaN(numberOf(cell)), cell)
  const t = parseTable('n,s\n1,a\n,b\n3,4\n')
  assert.deepEqual(t.columns.map(isNumeric), [true, false])
  assert.deepEqual([0, 1, 2].map(i => cellText(t.columns[0]!, i)), ['1', '', '3'])
})

test('errors name the line', () => {
  assert.throws(() => parseTable('a,b\n1,2\n3\n'), /line 3: 1 cells where there are 2 columns/)
  assert.throws(() => parseTable('a,b\n1,"2\n3,4\n'), /line 2: a quote is not closed/)
  assert.throws(() => parseTable('a,b,c', { columns: 2 }), /line 1: 3 columns/)
  assert.throws(() => parseTable('x'.repeat(200), { record: 100 }), /line 1 is longer than 100/)
})

test('it does not matter where a file is cut into pieces', () => {
  const text = '\uFEFFa,b\r\n"x ""y""\r\nz",1\r\n2,3'
  const whole = parseTable(text)
  for (let at = 1; at < text.length; at++) {
    const r = new TableReader()
    r.push(text.slice(0, at))
    r.push(text.slice(at))
    assert.deepEqual(r.end(), whole, `at ${at}`)
  }
})

test('too many rows are cut and said', () => {
  const t = parseTable('a\n1\n2\n3\n4\n', { rows: 3 })
  assert.deepEqual([t.rows, t.cut], [3, true])
})

test('a stream: characters over a border, the limit in bytes, an end in between', async () => {
  const bytes = new TextEncoder().encode('s,n\nµm,1\nΩ,2\n')
  const stream = (chunk: number) => new ReadableStream<Uint8Array>({
    start (c) {
      for (let i = 0; i < bytes.length; i += chunk) c.enqueue(bytes.slice(i, i + chunk))
      c.close()
    },
  })
  assert.deepEqual(await readTable(stream(1), 1e6), parseTable('s,n\nµm,1\nΩ,2\n'))
  const cut = await readTable(stream(5), 8)
  assert.deepEqual([cut.rows, cut.cut], [1, true])
})

test('a big one is read in good time', () => {
  const row = Array.from({ length: 95 }, (_, i) => i).join(',')
  const head = Array.from({ length: 95 }, (_, i) => 'n_' + i).join(',')
  const began = performance.now()
  const t = parseTable([head, ...Array.from({ length: 16_384 }, () => row)].join('\n'))
  assert.equal(t.rows, 16_384)
  assert.ok(performance.now() - began < 10_000)
})

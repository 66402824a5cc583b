// Reading of CSV results as they come, in the way of the sink's summary (pkg/runs, Summary): comma, semicolon or tab, whichever is most
// frequent in the first row; the first row has the names unless all of it are numbers; # begins a comment; empty rows are left out.

// Column is a column of a table. What is no number is in texts, by row, and NaN in numbers, and so is an empty cell.
export interface Column {
  name: string
  numbers: number[]
  texts: Map<number, string>
}

export interface Table {
  columns: Column[]
  rows: number
  // cut says that there is more in the file than was read.
  cut: boolean
}

export interface Limits {
  rows: number
  columns: number
  record: number // characters of one row
}

export const defaultLimits: Limits = { rows: 200_000, columns: 10_000, record: 1 << 20 }

const separators = [',', ';', '\t']

// parseRecord splits a row into its cells; null says that a quote is open, so that the row goes on in the next line.
export function parseRecord (line: string, separator: string): string[] | null {
  if (!line.includes('"')) return line.split(separator)
  const cells: string[] = []
  let at = 0
  for (;;) {
    if (line[at] !== '"') {
      const end = line.indexOf(separator, at)
      cells.push(end < 0 ? line.slice(at) : line.slice(at, end))
      if (end < 0) return cells
      at = end + 1
      continue
    }
    let cell = ''
    for (at++; ; ) {
      const quote = line.indexOf('"', at)
      if (quote < 0) return null
      cell += line.slice(at, quote)
      at = quote + 1
      if (line[at] !== '"') break
      cell += '"' // two of them are one
      at++
    }
    // What stands between the closing quote and the separator belongs to the cell: nobody is helped by losing it.
    const end = line.indexOf(separator, at)
    cells.push(cell + (end < 0 ? line.slice(at) : line.slice(at, end)))
    if (end < 0) return cells
    at = end + 1
  }
}

export function guessSeparator (firstRow: string): string {
  const outside = firstRow.replace(/"(?:[^"]|"")*"/g, '')
  let best = ','
  let most = 0
  for (const s of separators) {
    const n = outside.split(s).length - 1
    if (n > most) {
      best = s
      most = n
    }
  }
  return best
}

const numeral = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/

// numberOf is the number in a cell, NaN if there is none.
export function numberOf (cell: string): number {
  const text = cell.trim()
  return numeral.test(text) ? Number(text) : Number.NaN
}

// TableReader takes a file piece by piece. An error names the line.
export class TableReader {
  readonly #limits: Limits
  #rest = ''
  #open: string | null = null // of a row with an open quote
  #openLine = 0
  #line = 0
  #separator = ''
  #table: Table = { columns: [], rows: 0, cut: false }

  constructor (limits: Partial<Limits> = {}) {
    this.#limits = { ...defaultLimits, ...limits }
  }

  // push takes the next piece; false says that no more is wanted.
  push (piece: string): boolean {
    if (this.#line === 0 && this.#rest === '' && piece.startsWith('\uFEFF')) piece = piece.slice(1)
    const text = this.#rest + piece
    let at = 0
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', at)) {
      this.#take(text.slice(at, end))
      at = end + 1
      if (this.#table.cut) return false
    }
    this.#rest = text.slice(at)
    if (this.#rest.length > this.#limits.record) throw new Error(`line ${this.#line + 1} is longer than ${this.#limits.record} characters`)
    return true
  }

  // end is the table. With cut the last row is left out, as it may not be whole.
  end (cut = false): Table {
    if (cut) {
      this.#table.cut = true
    } else if (!this.#table.cut) {
      if (this.#rest !== '') this.#take(this.#rest)
      if (this.#open !== null) throw new Error(`line ${this.#openLine}: a quote is not closed`)
    }
    this.#rest = ''
    return this.#table
  }

  #take (raw: string): void {
    this.#line++
    let line = raw.endsWith('\r') ? raw.slice(0, -1) : raw
    if (this.#open !== null) {
      line = `${this.#open}\n${line}`
      if (line.length > this.#limits.record) throw new Error(`line ${this.#openLine}: a quote is not closed`)
    } else {
      if (line.trim() === '' || line.startsWith('#')) return
      this.#openLine = this.#line
    }
    if (this.#separator === '') this.#separator = guessSeparator(line)
    const cells = parseRecord(line, this.#separator)
    this.#open = cells === null ? line : null
    if (cells === null) return
    if (this.#table.columns.length > 0) return this.#row(cells)
    this.#head(cells)
  }

  #head (cells: string[]): void {
    if (cells.length > this.#limits.columns) throw new Error(`line ${this.#line}: ${cells.length} columns, at most ${this.#limits.columns} can be shown`)
    const unnamed = cells.every((c) => !Number.isNaN(numberOf(c)))
    this.#table.columns = cells.map((c, i) => ({ name: unnamed || c.trim() === '' ? String(i + 1) : c.trim(), numbers: [], texts: new Map() }))
    if (unnamed) this.#row(cells)
  }

  #row (cells: string[]): void {
    const { columns, rows } = this.#table
    if (cells.length !== columns.length) throw new Error(`line ${this.#openLine}: ${cells.length} cells where there are ${columns.length} columns`)
    if (rows === this.#limits.rows) {
      this.#table.cut = true
      return
    }
    for (const [i, column] of columns.entries()) {
      const cell = cells[i] ?? ''
      const x = numberOf(cell)
      column.numbers.push(x)
      if (Number.isNaN(x) && cell.trim() !== '') column.texts.set(rows, cell)
    }
    this.#table.rows++
  }
}

// parseTable reads a whole text.
export function parseTable (text: string, limits: Partial<Limits> = {}): Table {
  const reader = new TableReader(limits)
  reader.push(text)
  return reader.end()
}

// readTable reads a body as it comes, of which at most so many bytes are taken. Both ends of the stream are released.
export async function readTable (body: ReadableStream<Uint8Array>, maxBytes: number, limits: Partial<Limits> = {}): Promise<Table> {
  const reader = new TableReader(limits)
  const source = body.getReader()
  const decoder = new TextDecoder()
  let bytes = 0
  try {
    for (;;) {
      const { done, value } = await source.read()
      if (done) break
      bytes += value.byteLength
      const more = reader.push(decoder.decode(value, { stream: true }))
      if (bytes > maxBytes || !more) {
        await source.cancel()
        return reader.end(true)
      }
    }
    reader.push(decoder.decode())
    return reader.end()
  } finally {
    source.releaseLock()
  }
}

// cellText is a cell as text.
export function cellText (column: Column, row: number): string {
  const x = column.numbers[row]
  return column.texts.get(row) ?? (x === undefined || Number.isNaN(x) ? '' : String(x))
}

// isNumeric reports whether most of a column's cells that are not empty are numbers.
export function isNumeric (column: Column): boolean {
  const numbers = column.numbers.reduce((n, x) => n + (Number.isNaN(x) ? 0 : 1), 0)
  return numbers > column.texts.size
}

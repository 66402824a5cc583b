// The results of a run: each JSON file as tables, each CSV file as plots of what is known of it.
import { useEffect, useRef, useState } from 'preact/hooks'
import { ApiError } from '../../api/client'
import type { RunFile } from '../../api/types'
import { Icon } from '../../ui/icons'
import type { Table } from '../data/csv'
import type { Run } from '../data/document'
import { atOnce, fetchTable, most, resultName } from '../data/file'
import { bytes } from '../data/format'
import { channelColumn, sCurves } from '../data/scurve'
import { isObject } from '../data/values'
import { Section, Warn, Wrong } from '../parts/bits'
import { ColumnsResult, type ColumnSummary } from './ColumnsResult'
import { GenericTable } from './GenericTable'
import { JsonResult } from './JsonResult'
import { SCurveResult } from './SCurveResult'

export function Results ({ run }: { run: Run }) {
  const files = run.files ?? []
  const tables = files.filter(f => f.read === 'csv')
  const known = new Set(tables.map(f => resultName(f.name)))
  const documents = Object.entries(run.results ?? {}).filter(([name]) => !known.has(name))
  if (tables.length === 0 && documents.length === 0) {
    return <Section id="result-none" title="Results"><p data-test="no-results">{nothing(run.results_state, files.length > 0)}</p></Section>
  }
  return (
    <>
      {tables.map(f => <CsvResult key={f.name} run={run} file={f} />)}
      {documents.map(([name, v]) => <JsonResult key={name} name={name} value={v} />)}
    </>
  )
}

function columnsOf (summary: unknown): ColumnSummary[] {
  const columns = isObject(summary) ? summary['columns'] : undefined
  return Array.isArray(columns) ? columns as ColumnSummary[] : []
}

function nothing (state: string | undefined, files: boolean): string {
  switch (state) {
    case 'missing': return 'The results did not come. They will be here if they come later.'
    case 'expected': case 'receiving': case 'received': return 'The results are on their way.'
    case 'stored': return files ? 'There are no results that can be shown; the files are below.' : 'There are no results.'
    default: return 'There are no results.'
  }
}

type Read = { table: Table } | { error: unknown } | 'waiting' | 'reading'

function CsvResult ({ run, file }: { run: Run, file: RunFile }) {
  const [wanted, setWanted] = useState(file.size <= atOnce)
  const [read, setRead] = useState<Read>(wanted ? 'reading' : 'waiting')
  const [again, setAgain] = useState(0)
  useEffect(() => {
    if (!wanted) return
    const end = new AbortController()
    setRead('reading')
    fetchTable(run.run, file, end.signal).then(
      table => { if (!end.signal.aborted) setRead({ table }) },
      (error: unknown) => { if (!end.signal.aborted) setRead({ error }) },
    )
    return () => end.abort()
  }, [run.run, file.sha256, wanted, again])
  const summary: unknown = run.results?.[resultName(file.name)]
  const columns = columnsOf(summary)
  if (read !== 'waiting' && read !== 'reading' && 'table' in read) return <TableResult run={run} file={file} table={read.table} />
  return (
    <Section id={`result-${resultName(file.name)}`} title={file.name}>
      {read === 'reading' ? <p role="status" aria-busy="true">Reading {file.name}, {bytes(file.size)}…</p> : null}
      {read === 'waiting'
        ? <p><button type="button" class="btn" data-test="read-csv" onClick={() => setWanted(true)}><Icon name="down" />Read {bytes(Math.min(file.size, most))} and plot</button></p>
        : null}
      {typeof read === 'object' ? <><Wrong error={read.error} what={`${file.name} cannot be shown`} />{read.error instanceof ApiError ? <p class="row"><button type="button" class="btn" onClick={() => setAgain(again + 1)}>Try again</button></p> : null}</> : null}
      {read !== 'reading' && columns.length > 0 ? <ColumnsResult columns={columns} /> : null}
    </Section>
  )
}

// TableResult decides what a table is. S-curves are found once: it takes a moment.
function TableResult ({ run, file, table }: { run: Run, file: RunFile, table: Table }) {
  const curves = useRef<{ of: Table, curves: ReturnType<typeof sCurves> } | null>(null)
  if (curves.current?.of !== table) curves.current = { of: table, curves: sCurves(table) }
  const cut = table.cut ? <Warn test="csv-cut">Only the first {table.rows} rows are shown; the file has all of them.</Warn> : null
  const found = curves.current.curves
  return found
    ? <>{cut}<SCurveResult run={run} file={file} curves={found} /></>
    : <>{cut}<GenericTable file={file} table={table} channel={channelColumn(table)} /></>
}

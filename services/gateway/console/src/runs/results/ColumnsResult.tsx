// What the sink has said of a CSV file's columns, where the file itself is not shown.
import { show } from '../data/values'
import { Wide } from '../parts/bits'

export interface ColumnSummary { name: string, count: number, min?: number, max?: number, mean?: number, distinct?: number }

const most = 60

export function ColumnsResult ({ columns }: { columns: ColumnSummary[] }) {
  return (
    <Wide caption={`Columns${columns.length > most ? `, the first ${most} of ${columns.length}` : ''}`} heads={['Column', 'Values', 'Min', 'Mean', 'Max', 'Different']} numeric={[1, 2, 3, 4, 5]} test="columns">
      {columns.slice(0, most).map(c => (
        <tr key={c.name}><th scope="row">{c.name}</th>{[c.count, c.min, c.mean, c.max, c.distinct].map((v, i) => <td key={i} class="num">{v === undefined ? '' : show(v)}</td>)}</tr>
      ))}
    </Wide>
  )
}

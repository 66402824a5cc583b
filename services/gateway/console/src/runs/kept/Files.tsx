// The files of a run.
import { Icon } from '../../ui/icons'
import type { Run } from '../data/document'
import { filePath } from '../data/file'
import { bytes } from '../data/format'
import { Section, Warn, Wide } from '../parts/bits'

export function Files ({ run }: { run: Run }) {
  const files = run.files ?? []
  if (files.length === 0 && !run.left_out?.length) return null
  return (
    <Section id="files" title="Files">
      {files.length > 0
        ? (
          <Wide caption="All files that are kept, with their sums" heads={['File', 'Size', 'Read as', 'SHA-256']} numeric={[1]} test="files">
            {files.map(f => (
              <tr key={f.name}>
                <th scope="row"><a class="runs-file" href={filePath(run.run, f.name)} download={`run${run.run}-${f.name.replaceAll('/', '_')}`} data-test={`file-${f.name}`}><Icon name="save" />{f.name}</a></th>
                <td class="num nowrap" title={`${f.size} bytes`}>{bytes(f.size)}</td>
                <td>{f.read}{f.error ? <span class="runs-bad"> ✕ {f.error}</span> : null}</td>
                <td><code class="runs-sum">{f.sha256}</code></td>
              </tr>
            ))}
          </Wide>
          )
        : null}
      {run.left_out?.map((why, i) => <Warn key={i}>Left out: {why}</Warn>)}
    </Section>
  )
}

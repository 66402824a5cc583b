// The first and the last lines of a run's log.
import { clockTime } from '../../ui/format'
import { Icon } from '../../ui/icons'
import type { Run } from '../data/document'
import { filePath } from '../data/file'
import { bytes } from '../data/format'
import { Section } from '../parts/bits'

export function Log ({ run }: { run: Run }) {
  const lines = run.log ?? []
  const file = run.files?.find(f => f.read === 'log' || f.name === 'log.txt')
  if (lines.length === 0 && !file) return null
  // The cut is where the first half of the lines ends, as the sink keeps as many of the end as of the beginning.
  const cutAt = run.log_cut ? Math.ceil(lines.length / 2) : -1
  return (
    <Section
      id="log" title="Log" note={<>{lines.length} lines{run.log_cut ? `, the first and the last; the file has ${run.log_cut} more between them` : ''}. Lines with ! were errors or warnings.</>}
      end={file ? <a class="btn small" href={filePath(run.run, file.name)} download={`run${run.run}-${file.name}`} data-test="log-file"><Icon name="save" />{file.name}, {bytes(file.size)}</a> : null}
    >
      <pre class="runs-log" tabIndex={0} role="region" aria-label="Lines of the log" data-test="kept-log">
        {lines.map((l, i) => (
          <>
            {i === cutAt ? <span class="is-cut">{`… ${run.log_cut} lines that only the file has …\n`}</span> : null}
            <span key={i} class={l.stream === 'err' ? 'is-err' : undefined}>{l.stream === 'err' ? '! ' : '  '}{startsWithTime(l.text) ? '' : `${clockTime(l.time)} `}{l.text}{'\n'}</span>
          </>
        ))}
      </pre>
    </Section>
  )
}

// startsWithTime: some programs say the time themselves.
const startsWithTime = (text: string): boolean => /^\d{4}-\d\d-\d\dT\d\d:/.test(text)

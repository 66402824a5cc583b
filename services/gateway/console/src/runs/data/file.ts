// Files of a run, and what is read of them here.
import { ApiError, apiPath } from '../../api/client'
import type { Problem, RunFile } from '../../api/types'
import { readTable, type Table } from './csv'

export const most = 16e6 // bytes of a CSV file that are read
export const atOnce = 8e6 // bytes that are read without being asked for

export const filePath = (run: number, name: string): string => apiPath(`/runs/${run}/files/${name.split('/').map(encodeURIComponent).join('/')}`)

// resultName is where a file's content or summary stands in the document, docs/runs.md, Result files.
export const resultName = (file: string): string => file.replace(/\.[^./]*$/, '').replace(/[.$/]/g, '_')

// fetchTable reads a CSV file as far as it is shown.
export async function fetchTable (run: number, file: RunFile, signal: AbortSignal): Promise<Table> {
  let response: Response
  try {
    response = await fetch(filePath(run, file.name), { credentials: 'same-origin', signal })
  } catch (e) {
    if (signal.aborted) throw e
    throw new ApiError({ type: 'about:blank', title: 'No answer', status: 0, detail: 'The gateway does not answer. Is it running, and is the network there?' })
  }
  if (!response.ok) {
    const problem = await response.json().catch(() => ({})) as Partial<Problem>
    throw new ApiError({ type: 'about:blank', title: response.statusText || 'Error', detail: `The gateway answered ${response.status}.`, ...problem, status: response.status })
  }
  if (!response.body) throw new Error(`${file.name} is empty`)
  return await readTable(response.body, most)
}

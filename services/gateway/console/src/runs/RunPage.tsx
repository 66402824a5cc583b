// One run: its progress, its results.
export default function RunPage ({ run }: { run: number }) {
  return <h1>Run {run}</h1>
}

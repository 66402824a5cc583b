// Runs that are kept, and the form that starts one.
export default function RunsPage () {
  return <h1>Runs</h1>
}

// Panels of dashboards, those in rows that are shut too.

import type { Dashboard, Panel, RowPanel } from '@grafana/schema';
import type { Target } from '../src/influx';

export const panelsOf = (d: Dashboard): Panel[] => ((d.panels ?? []) as (Panel | RowPanel)[]).flatMap((p) => ('panels' in p ? [p as unknown as Panel, ...p.panels] : [p as Panel]));

export const shown = (d: Dashboard): Panel[] => panelsOf(d).filter((p) => p.type !== 'row');

export const targetsOf = (p: Panel): Target[] => (p.targets ?? []) as unknown as Target[];

/** A panel by its title. */
export function panel(d: Dashboard | undefined, title: string): Panel {
  const found = d && shown(d).find((p) => p.title === title);
  if (!found) throw new Error(`no panel ${title}`);
  return found;
}

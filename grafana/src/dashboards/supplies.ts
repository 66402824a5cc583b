// High and low voltage: the same questions to other supplies.

import type { Dashboard } from '@grafana/schema';
import { box, choice, dashboard, folded, row, under } from '../dashboard';
import { hvNames, lvNames, uid } from '../names';
import { note } from '../panels';
import { alarms, amperes, channelsNow, channelsOn, channelsRange, commands, fresh, ofDevices, onOff, runRegions, suppliesNamed, tripped, voltage } from '../shared';

interface Kind {
  uid: (typeof uid)['hv' | 'lv'];
  title: string;
  short: string;
  names: string;
}

const supplies = (k: Kind): Dashboard =>
  dashboard({
    uid: k.uid,
    title: k.title,
    description: `All ${k.short} supplies: what is on, what it draws, what tripped, who commanded what.`,
    annotations: [runRegions],
    variables: [
      box('names', `${k.short} names`, 'Regular expression for the names of these supplies: the archive does not say which supply is of which kind. While it is incomplete InfluxDB refuses it, and panels say so.', k.names),
      choice({
        name: 'device',
        label: 'Supplies',
        description: `Devices with numbered channels whose name matches the expression under “${k.short} names”.`,
        query: suppliesNamed('names'),
      }),
    ],
    rows: [
      row(5, [5, channelsOn(ofDevices)], [5, tripped(ofDevices)], [8, fresh(ofDevices)], [6, note('At three in the morning', nightly(k))]),
      row(9, [24, voltage('Voltage', ofDevices)]),
      row(9, [24, amperes('Current', ofDevices)]),
      row(7, [12, onOff(ofDevices)], [12, alarms(ofDevices)]),
      row(7, [24, commands('Commands', '"device" =~ ' + ofDevices, 'Each answer of a driver to a command: first accepted or rejected, then done, failed or superseded. Code and message say why.')]),
      under('Channels now', row(7, [24, channelsNow('device')])),
      folded('Extremes in this time (open it: for 30 days it takes some seconds)', row(6, [24, channelsRange('device')])),
    ],
  });

const nightly = (k: Kind): string =>
  `**No data is not zero.** A gap or a dash means that nothing was heard: the output may be on. Ask the console, or the front panel.

A supply is ${k.short} if its name matches \`${k.names}\`; the box at the top changes it.`;

export const highVoltage = supplies({ uid: uid.hv, title: 'High voltage', short: 'HV', names: hvNames });
export const lowVoltage = supplies({ uid: uid.lv, title: 'Low voltage', short: 'LV', names: lvNames });

package main

import (
	"errors"
	"fmt"
	"net"
	"strconv"
)

// checkPorts names every port that is taken, by whom, and what to do.
func (d *demo) checkPorts() error {
	type use struct {
		port int
		what string
	}
	uses := []use{{mqttPort, "MQTT broker"}, {influxPort, "InfluxDB"}, {mongoPort, "MongoDB"}, {nodeRedPort, "Node-RED"}, {gatewayPort, "gateway"}}
	for _, i := range simulators {
		uses = append(uses, use{i.port, "simulated " + i.title})
	}
	var errs []error
	for _, u := range uses {
		l, err := net.Listen("tcp", d.address(u.port))
		if err == nil {
			_ = l.Close()
			continue
		}
		by := ""
		if who := holder(d.port(u.port)); who != "" {
			by = " by " + who
		}
		errs = append(errs, fmt.Errorf("port %d for the %s is in use%s", d.port(u.port), u.what, by))
	}
	if len(errs) == 0 {
		return nil
	}
	errs = append(errs, errors.New("end what holds it, or take other ports: PORT_OFFSET="+strconv.Itoa(d.offset+100)+" make demo"))
	return errors.Join(errs...)
}

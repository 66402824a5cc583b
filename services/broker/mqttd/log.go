package mqttd

import (
	"fmt"
	"log/slog"
)

// natsLog hands the server's log on to slog. The server's notices are chatter
// about its inner life: they are debug messages here.
type natsLog struct {
	log   *slog.Logger
	fatal chan error // the first fatal message: the server does not exit by itself
}

func (l *natsLog) Noticef(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l *natsLog) Warnf(format string, v ...any)   { l.log.Warn(fmt.Sprintf(format, v...)) }
func (l *natsLog) Errorf(format string, v ...any)  { l.log.Error(fmt.Sprintf(format, v...)) }
func (l *natsLog) Debugf(format string, v ...any)  { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l *natsLog) Tracef(format string, v ...any)  { l.log.Debug(fmt.Sprintf(format, v...)) }

func (l *natsLog) Fatalf(format string, v ...any) {
	select {
	case l.fatal <- fmt.Errorf(format, v...):
	default:
		l.log.Error(fmt.Sprintf(format, v...))
	}
}

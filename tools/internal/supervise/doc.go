// Package supervise runs the suite's processes as children of one command.
//
//	Start ─▶ port free? ─▶ started ─▶ ready ─▶ serves ─┐
//	              │            │                       │ it dies
//	          ErrPortInUse   it ends: its last lines   └▶ started again, with back-off
//
// Children are started in stages and stopped in the opposite order, each with
// SIGTERM first and SIGKILL when its time is up. They end with the command also
// when the command itself is killed: on Linux the kernel sees to that.
package supervise

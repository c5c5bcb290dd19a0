package machine

import (
	"fmt"
	"os"
	"syscall"
)

// fileSystems are the numbers that statfs gives for them.
var fileSystems = map[int64]string{
	0xEF53: "ext4", 0x58465342: "xfs", 0x9123683E: "btrfs", 0x2FC12FC1: "zfs", 0xF2F52010: "f2fs",
	0x794C7630: "overlayfs", 0x6969: "nfs", 0x01021994: InMemory, 0x858458F6: InMemory,
}

// FileSystem names the file system that folder dir is on.
func FileSystem(dir string) (string, error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(dir, &stat); err != nil {
		return "", fmt.Errorf("file system of %s: %w", dir, err)
	}
	if name, ok := fileSystems[int64(stat.Type)]; ok { //nolint:unconvert // it is an int32 on other processors
		return name, nil
	}
	return fmt.Sprintf("number %#x", stat.Type), nil
}

// SyncData makes what was written to a file durable, and of its metadata only
// what is needed to read it.
func SyncData(file *os.File) error {
	return os.NewSyscallError("fdatasync", syscall.Fdatasync(int(file.Fd())))
}

// Child is for a process that is to end when this one does, however it ends,
// and otherwise by its id alone: a Ctrl-C at the terminal is not for it.
func Child() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGQUIT}
}

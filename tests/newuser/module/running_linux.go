package module

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// running lists the processes whose executable lies, or lay, in one of the folders, by their ids.
func running(folders ...string) map[int]string {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	found := make(map[int]string)
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		if err != nil {
			continue // it has ended, or is another user's
		}
		for _, folder := range folders {
			if strings.HasPrefix(program, folder+"/") {
				found[pid] = program
			}
		}
	}
	return found
}

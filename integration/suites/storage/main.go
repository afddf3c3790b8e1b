// Command storage reads what go test -json has printed about the same tests on one or more
// datastores, and puts the results side by side.
//
//	storage [-quiet] [-name SUITE] NAME=FILE…
//
// The last one named is the one that counts: its failures, and the tests that it lacks or
// skips while another one passes them, make the command fail.
package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

func main() {
	quiet := flag.Bool("quiet", false, "leave out the tests with the same result everywhere")
	suite := flag.String("name", "storage-tests", "the suite's name in the closing line")
	flag.Parse()
	var runs []*Run
	for _, argument := range flag.Args() {
		name, file, _ := strings.Cut(argument, "=")
		run, err := readRun(name, file)
		if err != nil {
			fmt.Fprintln(os.Stderr, "storage:", err)
			os.Exit(2)
		}
		runs = append(runs, run)
	}
	if len(runs) == 0 {
		flag.Usage()
		os.Exit(2)
	}
	table(runs, *quiet)
	judged := runs[len(runs)-1]
	judged.printFailures()
	failed := len(judged.failed()) + len(lacking(runs))
	for _, run := range runs {
		fmt.Printf("%s: %s\n", run.name, run.counts())
	}
	fmt.Printf("%s: %d passed, %d failed, %d skipped\n", *suite, judged.count(passed), failed, judged.count(skipped))
	if failed > 0 {
		os.Exit(1)
	}
}

// names are those of all tests and subtests of all runs, in order.
func names(runs []*Run) []string {
	all := map[string]bool{}
	for _, run := range runs {
		for name := range run.results {
			all[name] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

func table(runs []*Run, quiet bool) {
	for _, name := range names(runs) {
		var columns strings.Builder
		same := true
		for _, run := range runs {
			fmt.Fprintf(&columns, "%-14s", run.name+" "+run.results[name].String())
			same = same && run.results[name].String() == runs[0].results[name].String()
		}
		if !quiet || !same {
			fmt.Println(columns.String(), name)
		}
	}
}

// lacking are the tests that another run passes, and the last one neither passes nor fails.
func lacking(runs []*Run) []string {
	judged := runs[len(runs)-1]
	var missing []string
	for _, name := range names(runs) {
		for _, other := range runs[:len(runs)-1] {
			if other.results[name][passed] > 0 && judged.results[name][passed]+judged.results[name][failed] == 0 {
				missing = append(missing, name)
				break
			}
		}
	}
	return missing
}

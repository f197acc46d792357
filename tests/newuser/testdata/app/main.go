// App is what somebody may write on the first day: flags, standard input, and one function that runs elsewhere.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"strings"

	"github.com/mobula-dev/mobula/clients/go/mobula"
)

//go:generate go tool mobula-gen ./...

// Greeting is the result of Greet.
type Greeting struct {
	Text  string
	PID   int
	Input string
}

// Greet greets. It also tells where it ran and what it found on its standard input, which must be nothing.
//
//mobula:remote
func Greet(ctx context.Context, name string) (*Greeting, error) {
	input, err := io.ReadAll(os.Stdin)
	return &Greeting{Text: "hello, " + name, PID: os.Getpid(), Input: string(input)}, err
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	if err := note("main"); err != nil {
		return err
	}
	times := flag.Int("times", 1, "greet this many `times`")
	patient := flag.Bool("patient", false, "wait for an interrupt, and greet nevertheless")
	flag.Parse()
	interrupted := make(chan os.Signal, 1)
	if *patient {
		signal.Notify(interrupted, os.Interrupt)
	}
	ctx, stop, err := mobula.Init(context.Background())
	if err != nil {
		return err
	}
	defer stop()
	fmt.Println("ready")
	if *patient {
		<-interrupted
	}
	name, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil {
		return err
	}
	for range *times {
		g, err := GreetRemote(ctx, strings.TrimSpace(name)).Get(ctx)
		if err != nil {
			return err
		}
		fmt.Printf("%s; elsewhere: %t; its input: %q\n", g.Text, g.PID != os.Getpid(), g.Input)
	}
	return nil
}

// note adds a line to a log, which shows how many processes have come this far. It stops processes that start each other without end.
func note(what string) error {
	f, err := os.OpenFile(what+".log", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if info, err := f.Stat(); err != nil || info.Size() > 1000 {
		return fmt.Errorf("%s.log is full (%v)", what, err)
	}
	_, err = fmt.Fprintln(f, os.Getpid())
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

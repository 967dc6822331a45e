package redistest

import (
	"errors"
	"syscall"
	"time"
)

// Kill ends the server by SIGKILL and waits until it has ended. What it had not synced to the append-only file survives
// too, as it would not in a loss of power. A server that does not run is no error.
func (s *Server) Kill() error { return s.end(syscall.SIGKILL) }

// Terminate ends the server by SIGTERM, which lets it finish its files, and waits until it has ended.
func (s *Server) Terminate() error { return s.end(syscall.SIGTERM) }

func (s *Server) end(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc.stop(sig)
}

// Restart kills the server if it runs, starts it again with its port, folder and configuration (as CONFIG REWRITE may have
// left it), and waits until it answers.
func (s *Server) Restart() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.proc.stop(syscall.SIGKILL); err != nil {
		return err
	}
	for try := 0; ; try++ {
		err := s.run()
		if !errors.Is(err, errPortTaken) || try == portTries {
			return err
		}
		time.Sleep(portWait) // what a wrapper left behind may be about to end
	}
}

// Pause stops the server by SIGSTOP: connections stay open and nothing answers, as with a machine that hangs.
func (s *Server) Pause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc.signal(sigStop)
}

// Resume lets a paused server go on. What was sent to it meanwhile is then executed.
func (s *Server) Resume() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc.signal(sigContinue)
}

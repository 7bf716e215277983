//! Sockets that keep to a deadline, however slowly the peer sends.
//!
//! A socket's own timeout is for one read, and begins anew with each byte that drips in. So before
//! each read and write it is set to the time left of the call, unless the last setting is close enough. The
//! system's timeouts are coarse (Linux is up to an eighth late, and by at least 4 ms), so they are set early,
//! and `poll`, which is exact, waits for the rest.

use core::time::Duration;
use std::io::{self, Read, Write};
use std::net::TcpStream;
#[cfg(unix)]
use std::os::unix::net::UnixStream;

use crate::redis::net::Deadline;

/// The part of the time left that `poll` waits for, on systems that have it.
const EARLY: Duration = Duration::from_millis(if cfg!(unix) { 12 } else { 0 });
/// Timeouts may be late by this fraction of the time left.
const COARSE: u32 = 8;
/// A timeout that is this much too late is good enough: `EARLY` makes up for it.
const LATE: Duration = Duration::from_millis(2);

#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// A socket and the deadline of the call that uses it.
#[derive(Debug)]
pub(crate) struct Timed {
    socket: Socket,
    pub(crate) deadline: Deadline,
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
}

#[derive(Clone, Copy)]
enum Mode {
    In,
    Out,
}

impl Timed {
    pub(crate) fn new(socket: Socket, deadline: Deadline) -> Self {
        Self { socket, deadline, read_timeout: None, write_timeout: None }
    }

    /// Whether the peer has closed it or sent something unasked, so that it must not be used. Does not wait.
    pub(crate) fn is_stale(&self) -> bool {
        self.socket.is_stale()
    }

    /// Tries until it is done or the deadline has passed.
    fn wait<T>(
        &mut self,
        mode: Mode,
        mut operation: impl FnMut(&mut Socket) -> io::Result<T>,
    ) -> io::Result<T> {
        use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
        loop {
            let left = self.deadline.left_or_timed_out()?;
            if left <= EARLY + LATE && !self.socket.poll(mode, left)? {
                return Err(TimedOut.into());
            }
            self.arm(mode, left)?;
            match operation(&mut self.socket) {
                Err(error) if matches!(error.kind(), WouldBlock | TimedOut | Interrupted) => {}
                done => return done,
            }
        }
    }

    fn arm(&mut self, mode: Mode, left: Duration) -> io::Result<()> {
        let early = if cfg!(unix) { EARLY + left / COARSE } else { EARLY };
        let timeout = left.saturating_sub(early).max(Duration::from_millis(1));
        let current = match mode {
            Mode::In => &mut self.read_timeout,
            Mode::Out => &mut self.write_timeout,
        };
        // A timeout that is too early does no harm: the loop tries again.
        let good_enough = |current| timeout / 2 <= current && current <= timeout + LATE;
        if !current.is_some_and(good_enough) {
            self.socket.set_timeout(mode, timeout)?;
            *current = Some(timeout);
        }
        Ok(())
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.wait(Mode::In, |socket| match socket {
            Socket::Tcp(stream) => stream.read(buffer),
            #[cfg(unix)]
            Socket::Unix(stream) => stream.read(buffer),
        })
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.wait(Mode::Out, |socket| match socket {
            Socket::Tcp(stream) => stream.write(bytes),
            #[cfg(unix)]
            Socket::Unix(stream) => stream.write(bytes),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket {
    fn set_timeout(&self, mode: Mode, timeout: Duration) -> io::Result<()> {
        match (self, mode) {
            (Self::Tcp(stream), Mode::In) => stream.set_read_timeout(Some(timeout)),
            (Self::Tcp(stream), Mode::Out) => stream.set_write_timeout(Some(timeout)),
            #[cfg(unix)]
            (Self::Unix(stream), Mode::In) => stream.set_read_timeout(Some(timeout)),
            #[cfg(unix)]
            (Self::Unix(stream), Mode::Out) => stream.set_write_timeout(Some(timeout)),
        }
    }
}

#[cfg(unix)]
impl Socket {
    /// Waits until it can be read or written, and returns whether it can.
    fn poll(&self, mode: Mode, left: Duration) -> io::Result<bool> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let flags = match mode {
            Mode::In => PollFlags::IN,
            Mode::Out => PollFlags::OUT,
        };
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(self, flags)], Some(&left)) {
            // The caller tries again, as after other signals.
            Err(rustix::io::Errno::INTR) => Ok(true),
            ready => Ok(ready? > 0),
        }
    }

    fn is_stale(&self) -> bool {
        use rustix::net::{RecvFlags, recv};
        let mut byte = [0_u8; 1];
        let peeked = recv(self, &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT);
        peeked != Err(rustix::io::Errno::AGAIN)
    }
}

#[cfg(unix)]
impl std::os::fd::AsFd for Socket {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}

#[cfg(not(unix))]
impl Socket {
    /// Without `poll`, the socket's own timeout has to suffice.
    fn poll(&self, _: Mode, _: Duration) -> io::Result<bool> {
        Ok(true)
    }

    fn is_stale(&self) -> bool {
        let Self::Tcp(stream) = self;
        let peeked = stream.set_nonblocking(true).and_then(|()| stream.peek(&mut [0]));
        let quiet = matches!(&peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        stream.set_nonblocking(false).is_err() || !quiet
    }
}

//! One slot's future: a connection's life, and then the next one's.

use core::convert::Infallible;
use core::net::SocketAddr;

use embassy_futures::select::{Either, select};
use embassy_sync::blocking_mutex::raw::RawMutex;
use klamm_core::{ConnId, Disconnect};

use crate::desk::{Desk, Job};
use crate::traffic::{Ends, Flow};
use crate::{Clock, Connector, Shared};

/// What a slot works with.
pub(crate) struct Slot<'s, 'a, M: RawMutex, C, const WAITERS: usize, K> {
    pub(crate) shared: &'s Shared<'a, M, C, WAITERS>,
    pub(crate) connector: &'s K,
    pub(crate) desk: &'s Desk,
    pub(crate) chunk: &'s mut [u8],
}

impl<M: RawMutex, C: Clock, const WAITERS: usize, K: Connector> Slot<'_, '_, M, C, WAITERS, K> {
    pub(crate) async fn serve(mut self) -> Infallible {
        loop {
            let (conn, job) = self.desk.next_job().await;
            let desk = self.desk;
            // Whatever the connection waits for is dropped, and with it the stream, when the core ends it.
            let end = select(desk.until_over(conn), self.carry_out(conn, job)).await;
            if let Either::Second(Err(why)) = end {
                debug!("slot {}: connection ended: {:?}", conn.slot(), why);
                desk.end(conn);
                self.shared.input(|producer, now| producer.handle_disconnected(now, conn, why));
            }
            desk.stir();
        }
    }

    /// `Ok` if more is to come for this connection, else why it is over.
    async fn carry_out(&mut self, conn: ConnId, job: Job) -> Result<(), Disconnect> {
        let host = self.shared.host_of(conn, self.chunk).ok_or(Disconnect::Other)?;
        let remote = match job {
            Job::Resolve => {
                debug!("slot {}: looking up {}", conn.slot(), host);
                let address = self.connector.resolve(host).await?;
                self.shared.input(|producer, now| producer.handle_resolved(now, conn, &[address]));
                return Ok(());
            }
            Job::ConnectByName(port) => SocketAddr::new(self.connector.resolve(host).await?, port),
            Job::Connect(remote) => remote,
        };
        debug!("slot {}: connecting to {}", conn.slot(), host);
        let host_length = host.len();
        let ends = Ends { shared: self.shared, desk: self.desk, conn, flushing: false };
        Err(self.connector.carry(remote, Flow { ends, chunk: self.chunk, host_length }).await)
    }
}

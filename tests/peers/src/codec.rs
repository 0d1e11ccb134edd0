//! The echo of `bare`, as one writes it with tokio: a task a connection, frames by `LengthDelimitedCodec`.
//!
//! `forward` writes echoes out when no further frame is there, so that those that came together go together.
//!
//! Its first line is `listening on ADDR:PORT`; it serves until it is killed.

use futures_util::{StreamExt, TryStreamExt};
use std::io;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::bytes::BytesMut;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

fn main() -> io::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(serve())
}

async fn serve() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        // A connection that fails ends; nobody else minds.
        tokio::spawn(echo(stream));
    }
}

async fn echo(stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let codec = LengthDelimitedCodec::builder().max_frame_length(65_536).new_codec();
    let (echoes, frames) = Framed::new(stream, codec).split();
    frames.map_ok(BytesMut::freeze).forward(echoes).await
}

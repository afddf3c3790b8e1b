//! Two nkeys, new at every start of jine. The server's configuration holds only their public halves, and a client
//! proves that it has the other by a signature: no secret goes over the wire or into the server's files.

use nkeys::KeyPair;

use super::Error;

pub(super) struct Keys {
    pub(super) writer: String,
    pub(super) writer_seed: String,
    pub(super) reader: String,
    pub(super) reader_seed: String,
}

impl Keys {
    pub(super) fn new() -> Result<Self, Error> {
        let (writer, reader) = (KeyPair::new_user(), KeyPair::new_user());
        let seed = |pair: &KeyPair| pair.seed().map_err(|error| Error::Failed(format!("making keys: {error}")));
        Ok(Keys {
            writer_seed: seed(&writer)?,
            writer: writer.public_key(),
            reader_seed: seed(&reader)?,
            reader: reader.public_key(),
        })
    }
}

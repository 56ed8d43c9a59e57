//! CRC-64 with Jones's polynomial, reflected, as Redis uses it: initial value 0, and no final inversion.

/// Jones's polynomial, its bits reversed.
const POLYNOMIAL: u64 = 0x95AC_9329_AC4B_C9B5;

/// Tables for eight bytes at once: `TABLES[n][byte]` is the effect of a byte that `n` bytes follow.
static TABLES: [[u64; 256]; 8] = tables();

const fn tables() -> [[u64; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let (mut crc, mut bit) = (byte as u64, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut table = 1;
    while table < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[table - 1][byte];
            tables[table][byte] = tables[0][(before & 0xFF) as usize] ^ before >> 8;
            byte += 1;
        }
        table += 1;
    }
    tables
}

/// Returns the checksum of bytes, if `crc` is that of the bytes before them; 0 if there are none.
pub fn after(mut crc: u64, bytes: &[u8]) -> u64 {
    let (eights, rest) = bytes.as_chunks::<8>();
    for eight in eights {
        let mixed = (crc ^ u64::from_le_bytes(*eight)).to_le_bytes();
        crc = 0;
        for (at, byte) in mixed.into_iter().enumerate() {
            crc ^= TABLES[7 - at][usize::from(byte)];
        }
    }
    for byte in rest {
        crc = TABLES[0][usize::from(crc as u8 ^ byte)] ^ crc >> 8;
    }
    crc
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, one bit after the other.
    fn slow(bytes: &[u8]) -> u64 {
        bytes.iter().fold(0, |crc, byte| {
            (0..8).fold(crc ^ u64::from(*byte), |crc, _| {
                if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 }
            })
        })
    }

    #[test]
    fn it_is_the_checksum_of_redis() {
        // The test vector in Redis's crc64.c.
        assert_eq!(after(0, b"123456789"), 0xE9C6_D914_C4B8_D9CA);
        let bytes: Vec<u8> = (0..100_u32).map(|n| (n * n % 251) as u8).collect();
        for end in 0..bytes.len() {
            assert_eq!(after(0, &bytes[..end]), slow(&bytes[..end]), "{end} bytes");
            let (first, second) = bytes.split_at(end);
            assert_eq!(after(after(0, first), second), slow(&bytes), "parts from {end}");
        }
    }
}

//! A program without klamm: what Rust's own library takes of the size of `minimal-std`.

fn main() {
    println!("nothing");
}

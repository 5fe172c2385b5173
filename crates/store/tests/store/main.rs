//! The store from outside: what was handed over is what is answered, whatever happens in between.

mod alike;
mod answers;
mod clock;
mod crash;
mod damage;
mod disk;
mod kit;
mod oracle;
mod readers;
mod room;
mod samples;

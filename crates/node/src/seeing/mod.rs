//! Looking into models, and event files of a program's own.
mod events;
mod models;

//! The store against a model, against cuts at any write, against a collection of damages, and against a full disk.

#[cfg(test)]
mod crash;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod full;
#[cfg(test)]
mod model;
#[cfg(test)]
mod past;
#[cfg(test)]
mod peers;
#[cfg(test)]
mod plant;

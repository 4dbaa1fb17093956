//! Different hosts and ports of a window.

/// How often each of a few keys occurs: at most as many as a window has packets, so that places fit a byte.
#[derive(Clone, Debug)]
pub(super) struct Distinct<K> {
    /// Places without an occurrence are used again.
    places: Vec<(K, u8, u8)>,
}

impl<K> Default for Distinct<K> {
    fn default() -> Self {
        Self { places: Vec::new() }
    }
}

impl<K: PartialEq> Distinct<K> {
    /// Adds an occurrence; its place.
    pub(super) fn add(&mut self, key: K, asks: bool) -> u8 {
        let mut free = None;
        for (place, (known, all, asked)) in self.places.iter_mut().enumerate() {
            if *all == 0 {
                free = free.or(Some(place));
            } else if *known == key {
                *all += 1;
                *asked += u8::from(asks);
                return place as u8;
            }
        }
        let occurrence = (key, 1, u8::from(asks));
        match free {
            Some(place) => self.places[place] = occurrence,
            None => self.places.push(occurrence),
        }
        free.unwrap_or(self.places.len() - 1) as u8
    }

    pub(super) fn remove(&mut self, place: u8, asks: bool) {
        let (_, all, asked) = &mut self.places[usize::from(place)];
        *all -= 1;
        *asked -= u8::from(asks);
    }

    pub(super) fn all(&self) -> u32 {
        self.places.iter().filter(|(_, all, _)| *all > 0).count() as u32
    }

    pub(super) fn asked(&self) -> u32 {
        self.places.iter().filter(|(_, _, asked)| *asked > 0).count() as u32
    }
}

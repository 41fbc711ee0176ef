//! [`Questions`]: something about each of some questions, in the order in which they came. Most decisions ask a handful, for
//! which a list is quickest; the label of one namespace may hang on a thousand permissions.

use hashbrown::HashMap;

use super::Question;

/// As many are looked at one by one.
const FEW: usize = 16;

/// Something about each question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Questions<T> {
    listed: Vec<(Question, T)>,
    /// Where each stands, once they are more than a few.
    places: HashMap<Question, usize>,
}

impl<T> Default for Questions<T> {
    fn default() -> Self {
        Self {
            listed: Vec::new(),
            places: HashMap::new(),
        }
    }
}

impl<T> Questions<T> {
    fn place(&self, question: &Question) -> Option<usize> {
        if self.listed.len() <= FEW {
            self.listed.iter().position(|(known, _)| known == question)
        } else {
            self.places.get(question).copied()
        }
    }

    /// What is known about a question.
    pub(crate) fn get(&self, question: &Question) -> Option<&T> {
        self.place(question).map(|place| &self.listed[place].1)
    }

    /// What is known about a question; this, where nothing is yet.
    pub(crate) fn entry(&mut self, question: Question, new: T) -> &mut T {
        let place = self.place(&question).unwrap_or_else(|| {
            self.listed.push((question, new));
            let place = self.listed.len() - 1;
            // With the first that is one too many come all before it.
            let unplaced = match place {
                FEW => 0,
                place if place > FEW => place,
                _ => self.listed.len(),
            };
            let places = self.listed.iter().enumerate().skip(unplaced);
            self.places
                .extend(places.map(|(place, (question, _))| (question.clone(), place)));
            place
        });
        &mut self.listed[place].1
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// All of them, in their order.
    pub(crate) fn into_listed(self) -> Vec<(Question, T)> {
        self.listed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::NamespaceName;

    fn question(number: usize) -> Question {
        Question::Namespace(NamespaceName::new(&format!("n{number}")).expect("a name"))
    }

    #[test]
    fn each_question_is_known_once_however_many_there_are() {
        let mut questions = Questions::default();
        for number in (0..3 * FEW).flat_map(|number| [number, number / 2]) {
            assert_eq!(*questions.entry(question(number), number), number);
            assert_eq!(questions.get(&question(number)), Some(&number));
        }
        assert_eq!(questions.get(&question(3 * FEW)), None);
        let listed: Vec<usize> = questions.into_listed().into_iter().map(|(_, number)| number).collect();
        assert_eq!(listed, (0..3 * FEW).collect::<Vec<_>>());
    }
}

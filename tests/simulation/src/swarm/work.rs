//! What the application does.

use super::plan::{Plan, Style, TopicPlan};
use super::run::Run;
use crate::*;

/// How many records a step sends, and how long it rests then.
fn pace(style: Style, random: &mut Random) -> (u64, u64) {
    let style = match style {
        Style::Mixed => *random.pick(&[Style::Bursts, Style::Steady, Style::Trickle]),
        own => own,
    };
    match style {
        Style::Bursts => (1 + random.below(60), *random.pick(&[0, 10, 1000, 4000])),
        Style::Steady => (1 + random.below(8), 1 + random.below(30)),
        _ => (1, *random.pick(&[0, 1, 50, 400, 3000])),
    }
}

impl Run {
    /// One step of the work.
    pub(super) fn step(&mut self, step: u32) {
        let mut random = self.plan().random(step);
        self.make_topics(step);
        if step > 0 && step == self.plan().offline_until {
            let brokers: Vec<i32> = self.world.cluster().brokers().collect();
            brokers.iter().for_each(|broker| self.world.network_mut().admit(*broker));
        }
        let (records, rest_ms) = pace(self.plan().style, &mut random);
        match random.below(40) {
            0 | 1 => self.world.flush(),
            2 => self.world.set_wall_clock(),
            3 => self.forget(&mut random),
            _ => {}
        }
        if self.plan().wraps && random.chance(300) {
            self.come_near_the_wrap(&mut random);
        }
        for _ in 0..records.min(self.plan().records_per_step.into()) {
            self.send(&mut random);
        }
        self.world.run_for(rest_ms);
    }

    pub(super) fn make_topics(&mut self, step: u32) {
        let Plan { topics, .. } = self.plan();
        let due: Vec<_> = topics.iter().filter(|topic| topic.made_at <= step).cloned().collect();
        for topic in due {
            let made = self.world.cluster().partition_count(&topic.name) > 0;
            // Once: what the nemesis deletes stays deleted as long as it likes.
            if !made && topic.made_at == step {
                self.world.cluster_mut().create_topic_with(&topic.name, topic.options);
            }
        }
    }

    /// Only without records of it; then it comes back under another id of the producer's.
    fn forget(&mut self, random: &mut Random) {
        let index = random.below(self.topics.len() as u64) as usize;
        if self.world.producer_mut().forget_topic(self.topics[index]) {
            let name = self.plan().topics[index].name.clone();
            if let Ok(topic) = self.world.try_topic(&name) {
                self.topics[index] = topic;
            }
        }
    }

    /// A partition that is in no doubt continues as after almost 2³¹ records. With anything on its way, or lost on its way, a copy might
    /// still reach brokers that know of nothing any more, and be appended again.
    fn come_near_the_wrap(&mut self, random: &mut Random) {
        let index = random.below(self.topics.len() as u64) as usize;
        let TopicPlan { name, options, .. } = self.plan().topics[index].clone();
        let partition = random.below(options.partitions.into()) as u32;
        let sequence = i32::MAX - random.below(40) as i32;
        // Once for each partition: numbers never go back.
        let is_first = !self.wrapped.contains(&(index, partition));
        let all_are_there = is_first && self.world.failed() == 0 && self.world.run_until_idle(0);
        let topic = self.topics[index];
        if all_are_there && self.world.producer_mut().continue_sequence_at(topic, partition as i32, sequence) {
            self.wrapped.insert((index, partition));
            self.world.forget_producers(&name, partition);
            self.world.note(format_args!("{name}-{partition} continues at sequence {sequence}"));
        }
    }

    fn send(&mut self, random: &mut Random) {
        let index = random.below(self.topics.len() as u64) as usize;
        let partitions = self.plan().topics[index].options.partitions;
        let value = self.value(random);
        let key = match random.below(12) {
            0 => Some(String::new()),
            1..=5 => Some(random.below(50).to_string()),
            _ => None,
        };
        let headers = [
            Header { key: "trace", value: Some(b"0123456789abcdef") },
            Header { key: "", value: None },
            Header { key: "trace", value: Some(b"") },
        ];
        let mut record =
            Record { value: value.as_deref(), key: key.as_deref().map(str::as_bytes), ..Record::default() };
        if random.chance(150) {
            record.headers = &headers[..1 + random.below(3) as usize];
        }
        if random.chance(300) {
            record.partition = Some(random.below(partitions.into()) as i32);
        }
        if random.chance(80) {
            record.timestamp = Some(1_600_000_000_000 + random.below(1 << 40) as i64);
        }
        // A refusal is back-pressure, or a partition that is not known yet.
        let _ = self.world.send(self.topics[index], &record);
        self.sent += 1;
    }

    /// A value that no other record has; rarely none, which every log may hold as often as one was sent.
    fn value(&mut self, random: &mut Random) -> Option<Vec<u8>> {
        if random.chance(20) {
            return None;
        }
        let size = *random.pick(&[0, 0, 10, 100, 100, 500, 1500, 5000]);
        let mut value = format!("{}:", self.sent).into_bytes();
        let length = random.below(size + 1);
        let filler = if random.chance(500) { 0 } else { 255 };
        value.extend((0..length).map(|_| random.below(filler + 1) as u8));
        Some(value)
    }
}

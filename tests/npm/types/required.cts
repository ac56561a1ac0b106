// From a CommonJS program, which gets the package by require().

import { KafkaError, Producer, type RecordMetadata } from 'klamm';

export async function send(topic: string): Promise<RecordMetadata | KafkaError> {
  const producer = new Producer({ 'bootstrap.servers': 'localhost:9092' });
  try {
    return await producer.send({ topic, value: { from: 'CommonJS' } });
  } catch (error) {
    if (error instanceof KafkaError) return error;
    throw error;
  } finally {
    await producer.close();
  }
}

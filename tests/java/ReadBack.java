import java.io.BufferedOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Reads topics up to the end offsets seen at the start, without a consumer group, and prints each record as one line of JSON
 * with keys, values and header values in base64. Console consumers cannot be used for this: they print bytes raw and null
 * like text.
 *
 * <pre>java -cp 'libs/*' ReadBack.java BOOTSTRAP TOPIC[,TOPIC...] [count] [consumer.property=value ...]</pre>
 *
 * With {@code count} it prints one line instead: how many records each partition of the one topic holds, e.g.
 * {@code {"0":12,"1":0}}.
 */
public final class ReadBack {
    private final StringBuilder line = new StringBuilder();
    private final PrintStream out;

    private ReadBack(PrintStream out) {
        this.out = out;
    }

    public static void main(String[] args) {
        if (args.length < 2) {
            System.err.println("usage: ReadBack BOOTSTRAP TOPIC [count] [consumer.property=value ...]");
            System.exit(2);
        }
        boolean count = false;
        Properties settings = new Properties();
        settings.put("bootstrap.servers", args[0]);
        settings.put("enable.auto.commit", "false");
        settings.put("allow.auto.create.topics", "false");
        settings.put("max.poll.records", "10000");
        settings.put("max.partition.fetch.bytes", "8388608");
        for (int i = 2; i < args.length; i++) {
            int equals = args[i].indexOf('=');
            if (equals > 0) {
                settings.put(args[i].substring(0, equals), args[i].substring(equals + 1));
            } else if (args[i].equals("count")) {
                count = true;
            } else {
                System.err.println("neither `count` nor a property: " + args[i]);
                System.exit(2);
            }
        }
        PrintStream out = new PrintStream(new BufferedOutputStream(System.out, 1 << 16), false, StandardCharsets.US_ASCII);
        new ReadBack(out).read(settings, args[1], count);
        out.flush();
    }

    private void read(Properties settings, String topics, boolean count) {
        ByteArrayDeserializer raw = new ByteArrayDeserializer();
        Map<Integer, Long> counts = new TreeMap<>();
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings, raw, raw)) {
            List<TopicPartition> partitions = new ArrayList<>();
            for (String topic : topics.split(",")) {
                for (PartitionInfo info : consumer.partitionsFor(topic)) {
                    partitions.add(new TopicPartition(topic, info.partition()));
                    counts.put(info.partition(), 0L);
                }
            }
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            // For read_committed this is the last stable offset, so an open transaction is not waited for.
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
            while (partitions.stream().anyMatch(partition -> consumer.position(partition) < ends.get(partition))) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(250))) {
                    // Records that came after we looked are not ours to report: two readers would disagree.
                    if (record.offset() >= ends.get(new TopicPartition(record.topic(), record.partition()))) continue;
                    counts.merge(record.partition(), 1L, Long::sum);
                    if (!count) print(record);
                }
            }
        }
        if (count) {
            String separator = "{";
            for (Map.Entry<Integer, Long> entry : counts.entrySet()) {
                out.print(separator + '"' + entry.getKey() + "\":" + entry.getValue());
                separator = ",";
            }
            out.println("}");
        }
    }

    private void print(ConsumerRecord<byte[], byte[]> record) {
        line.setLength(0);
        line.append("{\"topic\":");
        text(record.topic());
        line.append(",\"partition\":").append(record.partition());
        line.append(",\"offset\":").append(record.offset());
        line.append(",\"timestamp\":").append(record.timestamp());
        line.append(",\"timestampType\":\"").append(record.timestampType()).append('"');
        line.append(",\"key\":");
        bytes(record.key());
        line.append(",\"value\":");
        bytes(record.value());
        line.append(",\"headers\":[");
        boolean first = true;
        for (Header header : record.headers()) {
            if (!first) line.append(',');
            first = false;
            line.append('[');
            text(header.key());
            line.append(',');
            bytes(header.value());
            line.append(']');
        }
        out.println(line.append("]}"));
    }

    private void bytes(byte[] value) {
        if (value == null) line.append("null");
        else line.append('"').append(Base64.getEncoder().encodeToString(value)).append('"');
    }

    /** A JSON string in ASCII, whatever the name of the header holds. */
    private void text(String value) {
        line.append('"');
        for (char c : value.toCharArray()) {
            if (c >= ' ' && c <= '~' && c != '"' && c != '\\') line.append(c);
            else line.append(String.format("\\u%04x", (int) c));
        }
        line.append('"');
    }
}

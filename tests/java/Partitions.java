import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.util.HexFormat;
import org.apache.kafka.common.utils.Utils;

/**
 * The partition that the Java client chooses for a key.
 *
 * <pre>java -cp 'libs/*' Partitions.java NUMBER_OF_PARTITIONS</pre>
 *
 * Reads keys from standard input, one per line in hex (an empty line is the empty key), and prints a partition for each.
 */
public final class Partitions {
    public static void main(String[] args) throws IOException {
        int partitions = Integer.parseInt(args[0]);
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        StringBuilder output = new StringBuilder();
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            byte[] key = HexFormat.of().parseHex(line.trim());
            output.append(Utils.toPositive(Utils.murmur2(key)) % partitions).append('\n');
        }
        System.out.print(output);
    }
}

// The page as one file, which asks nobody for anything: all that it needs lies in it.
import { start, unpacked } from "./main.js";

start(unpacked);

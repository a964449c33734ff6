// Package testclock is the clock by which programs judge tokens: the machine's, or one that tests set while the
// program runs. Only programs that are built with the tag approovgate_testclock have the second; released ones are not.
//
// It owns reading that clock's file. Start reading at Clock.
package testclock
